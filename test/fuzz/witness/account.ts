/** How one parser reads what came on one connection. */
export interface Account {
  /** Requests that came whole, in order. */
  readonly requests: readonly ReadRequest[];
  /** What the parser said about the rest, where it could not read it; '' where it had no complaint. A last request that breaks off is none. */
  readonly complaint: string;
}

export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  /** Names in lower case, in the order in which they came within one name. Bytes as Latin-1. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Bytes as Latin-1. */
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[] | null;
}

/** A parser of another make. */
export interface Witness {
  readonly name: string;
  /** Headers that this parser keeps to itself, and so cannot testify to. */
  readonly silentOn: ReadonlySet<string>;
  /** Says nothing of streams that end within a message. */
  readonly wholeOnly: boolean;
  /** Valid requests that this parser refuses or ends with by a policy of its own: it says nothing of what follows them. */
  mayRefuse(request: ReadRequest): boolean;
  read(streams: readonly Uint8Array[]): Promise<readonly Account[]>;
  close(): Promise<void>;
}

/**
 * Where two accounts differ, or '': count, method, target, headers and their values, body, trailers. Framing is compared by what it means:
 * boundaries and bodies.
 */
export function difference(a: Account, b: Account, silentOn: ReadonlySet<string>): string {
  if (a.complaint !== b.complaint && (a.complaint === '' || b.complaint === '')) return `complaints: ${a.complaint || 'none'} | ${b.complaint || 'none'}`;
  if (a.requests.length !== b.requests.length) return `${a.requests.length} | ${b.requests.length} requests`;
  for (const [i, one] of a.requests.entries()) {
    const other = b.requests[i] as ReadRequest;
    for (const [what, left, right] of [
      ['method', one.method, other.method], ['target', one.target, other.target], ['body', one.body, other.body],
      ['headers', comparable(one.headers, silentOn), comparable(other.headers, silentOn)],
      ...(one.trailers === null || other.trailers === null ? [] : [['trailers', comparable(one.trailers, silentOn), comparable(other.trailers, silentOn)] as const]),
    ] as const) if (left !== right) return `request ${i}, ${what}: ${firstDifference(left, right)}`;
  }
  return '';
}

const framing: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'trailer']);

function comparable(headers: ReadRequest['headers'], silentOn: ReadonlySet<string>): string {
  const kept = headers.filter(([name]) => !framing.has(name) && !silentOn.has(name));
  const order = new Map(kept.map((header, index) => [header, index]));
  return kept.toSorted((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : (order.get(a) ?? 0) - (order.get(b) ?? 0))).map(([name, value]) => `${name}: ${value}`).join('\n');
}

function firstDifference(left: string, right: string): string {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  const from = Math.max(0, at - 30);
  return `${JSON.stringify(left.slice(from, at + 100))} | ${JSON.stringify(right.slice(from, at + 100))}`;
}

/** Node's and other list forms: name, value, name, value. */
export function pairUp(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([(flat[i] ?? '').toLowerCase(), flat[i + 1] ?? '']);
  return pairs;
}
