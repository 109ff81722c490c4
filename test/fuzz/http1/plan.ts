import { connectionClose } from '@remora/http/head-scanner';
import { MessageReader } from '@remora/http/message-reader';
import type { MessageHead } from '@remora/http/message-head';
import { tokenPattern } from './request-generator.ts';

/** What a client's bytes mean, read in this process in one piece. */
export interface Plan {
  readonly requests: readonly PlannedRequest[];
  /** What follows them. */
  readonly end: 'nothing' | 'refused' | 'incomplete' | 'closed' | 'switched';
}

export interface PlannedRequest {
  readonly method: string;
  readonly token: string;
  readonly body: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Its answer may end the connection: it asks for that, or is of HTTP/1.0, whose clients are told where a body ends by nothing else. */
  readonly last: boolean;
}

export function planOf(bytes: Uint8Array): Plan {
  const reader = new MessageReader('request', { bytesMax: 64 * 1024, fieldsMax: 100 });
  reader.feed(bytes);
  const { state } = reader;
  reader.end();
  const requests = reader.messages.map(({ head, body }): PlannedRequest => ({
    method: head.method, token: tokenPattern.exec(head.path)?.[1] ?? '', body: Buffer.concat(body).toString('latin1'), headers: fieldsOf(head), last: isLast(head),
  }));
  return { requests, end: state === 'open' ? (reader.state === 'refused' ? 'incomplete' : 'nothing') : state };
}

function isLast({ connection, minorVersion }: MessageHead): boolean {
  return minorVersion === 0 || (connection & connectionClose) !== 0;
}

export function fieldsOf(head: MessageHead): [string, string][] {
  const fields: [string, string][] = [];
  head.forEach((name, value) => fields.push([name, value]));
  return fields;
}

/** Names that a gateway drops or sets itself: hop by hop, framing, and its own account of the client. */
const notConserved: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length', 'expect', 'host',
  'forwarded', 'x-request-id', 'traceparent', 'tracestate', 'x-forwarded-client-cert', 'proxy-authorization', 'via', 'date',
]);

/**
 * Headers that must arrive as they were sent, as comparable text. Spellings with `_` and `.` of what only the gateway may say do not pass. Cookies count
 * together: HTTP/2, which may be between two sidecars, cuts them into crumbs (RFC 9113 section 8.2.3).
 */
export function conserved(headers: readonly (readonly [string, string])[]): string {
  const kept = headers.filter(([name]) => name !== 'cookie' && !notConserved.has(name) && !/^x[-_.](forwarded|remora)[-_.]/.test(name));
  const crumbs = headers.filter(([name]) => name === 'cookie').flatMap(([, value]) => value.split(';').map((crumb) => crumb.trim()).filter(Boolean));
  return [...kept.toSorted((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)).map(([name, value]) => `${name}: ${value}`), ...crumbs.map((crumb) => `crumb ${crumb}`)].join('\n');
}
