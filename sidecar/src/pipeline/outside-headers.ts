import { fixedHeaderCount, headerId, headerName, makeField } from '@remora/http/header-ids';
import { rowStride, type MessageHead } from '@remora/http/message-head';
import type { Field } from '@remora/http/head';

/** Lines that a gateway adds for one client, made once for each connection. */
export interface ForwardedFields {
  readonly forwardedFor: Field;
  readonly forwardedProto: Field;
}

export function forwardedFields(peer: string, tls: boolean): ForwardedFields {
  return { forwardedFor: makeField('x-forwarded-for', peer), forwardedProto: tls ? httpsField : httpField };
}

/** What strangers say about where a request comes from, and names that only Remora may use, in every alias (security.md 3.2). */
export function removeOutsideHeaders(head: MessageHead): void {
  for (const id of strangersMayNotSet) if (head.has(id)) head.remove(id);
  const { rows, bytes } = head;
  let aliased = false;
  for (let i = 0, row = head.rowsAt; i < head.rowCount; i++, row += rowStride) {
    const id = rows[row] as number;
    if (id !== 0 && id < fixedHeaderCount) continue;
    const start = rows[row + 1] as number;
    const length = (rows[row + 2] as number) - start;
    if (length >= 11 && ((bytes[start] as number) | 32) === 120 && isSeparator(bytes[start + 1] as number)) aliased = true;
  }
  if (aliased) head.removeWhere(isReserved);
}

/** The gateway's own account of the client; a trusted proxy's is continued. */
export function addForwardedFields(head: MessageHead, fields: ForwardedFields, trusted: boolean): void {
  if (trusted && head.has(forwardedForHeader)) {
    const chain: string[] = [];
    for (let nth = 0; nth < head.count(forwardedForHeader); nth++) chain.push(head.valueAt(forwardedForHeader, nth));
    head.set(forwardedForHeader, [...chain, fields.forwardedFor.value].join(', '));
  } else {
    head.put(fields.forwardedFor);
  }
  if (!trusted || !head.has(forwardedProtoHeader)) head.put(fields.forwardedProto);
}

function isReserved(name: string): boolean {
  const plain = name.replaceAll(/[_.]/g, '-');
  return (plain.startsWith('x-remora-') && name !== hopName) || (plain !== name && strangersMayNotSetNames.has(plain));
}

function isSeparator(byte: number): boolean {
  return byte === 45 || byte === 95 || byte === 46;
}

const forwardedForHeader = headerId('x-forwarded-for');
const forwardedProtoHeader = headerId('x-forwarded-proto');
const strangersMayNotSet = [
  forwardedForHeader, forwardedProtoHeader, headerId('x-forwarded-host'), headerId('x-forwarded-port'), headerId('forwarded'),
  headerId('x-forwarded-client-cert'), headerId('x-remora-reason'), headerId('x-remora-origin'), headerId('x-remora-deadline'),
  headerId('x-remora-attempt'), headerId('x-remora-mirror'),
];
/** Kept, so that a circle through this gateway is found (hop-list.ts). */
const hopName = 'x-remora-hop';
const strangersMayNotSetNames: ReadonlySet<string> = new Set(strangersMayNotSet.map(headerName));
const httpField = makeField('x-forwarded-proto', 'http');
const httpsField = makeField('x-forwarded-proto', 'https');
