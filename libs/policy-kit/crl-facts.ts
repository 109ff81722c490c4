/** Kind of fact: lists of revoked certificates of clients, by the path of the file they come from. Missing: the file is not read (yet), or cannot be used. */
export const crlKind = 'crl';

/** One list, of one authority. */
export interface CrlFacts {
  /** As `ClientCertificateFacts.issuerHash`. */
  readonly issuerHash: string;
  /** '' where the authority does not name its key. */
  readonly issuerKeyId: string;
  /** Unix milliseconds: from then on the list says nothing any more. */
  readonly endsMs: number;
  /** The authority is revoked itself, and everybody below it. */
  readonly issuerRevoked: boolean;
  /** 20 bytes for each serial number, sorted. */
  readonly serials: Uint8Array;
}

/** Lists in one file. */
export const crlListsMax = 16;
const serialBytes = 20;

export function encodeCrls(lists: readonly CrlFacts[]): Uint8Array {
  const head = Buffer.from(JSON.stringify(lists.map(({ serials, ...list }) => ({ ...list, bytes: serials.length }))));
  const size = Buffer.alloc(4);
  size.writeUInt32BE(head.length);
  return Buffer.concat([size, head, ...lists.map(({ serials }) => serials)]);
}

/** null where it cannot be read. Serial numbers are views. */
export function decodeCrls(body: Uint8Array): readonly CrlFacts[] | null {
  if (body.length < 4) return null;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const start = 4 + bytes.readUInt32BE(0);
  const heads = start > bytes.length ? null : readHeads(bytes.toString('utf8', 4, start));
  if (heads === null) return null;
  const lists: CrlFacts[] = [];
  let at = start;
  for (const { bytes: length, ...head } of heads) {
    lists.push({ ...head, serials: body.subarray(at, at + length) });
    at += length;
  }
  return at === body.length ? lists : null;
}

interface Head extends Omit<CrlFacts, 'serials'> {
  readonly bytes: number;
}

function readHeads(text: string): readonly Head[] | null {
  try {
    const read: unknown = JSON.parse(text);
    return Array.isArray(read) && read.length <= crlListsMax && read.every(isHead) ? read : null;
  } catch {
    return null;
  }
}

function isHead(value: unknown): value is Head {
  if (typeof value !== 'object' || value === null) return false;
  const { issuerHash, issuerKeyId, endsMs, issuerRevoked, bytes } = value as Partial<Record<keyof Head, unknown>>;
  return typeof issuerHash === 'string' && typeof issuerKeyId === 'string' && typeof endsMs === 'number' && typeof issuerRevoked === 'boolean'
    && Number.isSafeInteger(bytes) && (bytes as number) >= 0 && (bytes as number) % serialBytes === 0;
}

/** Whether the sorted serial numbers have this one, as 40 hexadecimal digits. */
export function hasSerial(serials: Uint8Array, serial: string): boolean {
  const wanted = Buffer.from(serial, 'hex');
  const all = Buffer.from(serials.buffer, serials.byteOffset, serials.length);
  let low = 0;
  let high = all.length / serialBytes - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const order = all.compare(wanted, 0, serialBytes, middle * serialBytes, (middle + 1) * serialBytes);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}
