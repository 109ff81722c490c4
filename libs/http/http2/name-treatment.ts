import { headerName, headerNamesMax } from '../header-ids.ts';

/** How an encoder may remember values of a field. */
export const treatment = {
  /** Indexed when it comes a second time. */
  usual: 1,
  /** Hardly ever the same twice: remembering it only pushes out what is. */
  volatile: 2,
  /** A secret, or likely one: a literal that nobody may index (RFC 7541 section 7.1), as guesses could be checked by its length. */
  secret: 3,
} as const;

/** By header id. */
export function treatmentOf(id: number): number {
  const known = treatments[id] as number;
  if (known !== 0) return known;
  const name = Buffer.from(headerName(id), 'latin1');
  return (treatments[id] = volatileNames.has(headerName(id)) ? treatment.volatile : treatmentOfName(name, 0, name.length));
}

/** For names without an id: whatever looks like a key, a token or a password is taken for one. */
export function treatmentOfName(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at; i < end; i++) {
    const marks = marksByFirst[(bytes[i] as number) | 32];
    if (marks === undefined) continue;
    for (let k = 0; k < marks.length; k++) if (startsWith(marks[k] as Uint8Array, bytes, i, end)) return treatment.secret;
  }
  return treatment.usual;
}

function startsWith(mark: Uint8Array, bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < mark.length) return false;
  for (let i = 1; i < mark.length; i++) if (((bytes[at + i] as number) | 32) !== mark[i]) return false;
  return true;
}

const treatments = new Uint8Array(headerNamesMax);
const volatileNames: ReadonlySet<string> = new Set([
  'x-request-id', 'traceparent', 'tracestate', 'etag', 'age', 'if-none-match', 'if-match', 'location', 'retry-after', 'ratelimit-remaining',
  'x-ratelimit-remaining', 'ratelimit', 'ratelimit-reset', 'x-ratelimit-reset', 'x-remora-deadline', 'grpc-timeout', 'idempotency-key',
]);
/** Parts of names of secret values. `|32` leaves letters in lower case and `-` as it is. */
const secretMarks = ['authoriz', 'cookie', 'token', 'secret', 'passw', 'api-key', 'apikey', 'access-key', 'auth-key', 'session', 'credential', 'signature', 'client-cert'];
const marksByFirst: (Uint8Array[] | undefined)[] = [];
for (const mark of secretMarks) (marksByFirst[mark.charCodeAt(0)] ??= []).push(Buffer.from(mark));
