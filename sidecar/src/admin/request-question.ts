import type { AskingAs, RequestQuestion } from '../threads/data-plane.ts';

export type QuestionResult =
  | { readonly ok: true; readonly question: RequestQuestion }
  | { readonly ok: false; readonly problems: readonly string[] };

const sides = ['inbound', 'outbound', 'gateway'] as const;
const headersMax = 128;

/** A request to be explained, from `?side=outbound&method=GET&authority=payments&path=/x&header=x-a:1`. */
export function questionFromQuery(query: URLSearchParams, defaultSide: RequestQuestion['side']): QuestionResult {
  const headers = Object.create(null) as Record<string, string>;
  const problems: string[] = [];
  for (const line of query.getAll('header').slice(0, headersMax)) {
    const at = line.indexOf(':');
    if (at <= 0) problems.push(`header: ${JSON.stringify(line.slice(0, 100))} is not NAME:VALUE`);
    else headers[line.slice(0, at).trim().toLowerCase()] = line.slice(at + 1).trim();
  }
  for (const name of query.keys()) if (!fields.has(name)) problems.push(`${name}: is not known; known are ${[...fields].join(', ')}`);
  const input = { side: query.get('side') ?? defaultSide, listener: query.get('listener'), method: query.get('method') ?? 'GET', authority: query.get('authority') ?? '', path: query.get('path') };
  return check(input, headers, problems);
}

/** The same from JSON. */
export function questionFromJson(text: string, defaultSide: RequestQuestion['side']): QuestionResult {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    return { ok: false, problems: [`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`] };
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return { ok: false, problems: ['the body must be a JSON object'] };
  const { headers, side, listener, method, authority, path, as, ...rest } = input as Record<string, unknown>;
  const problems = Object.keys(rest).map((name) => `${name}: is not known`);
  const checked = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers ?? {}).slice(0, headersMax)) {
    if (typeof value === 'string') checked[name.toLowerCase()] = value;
    else problems.push(`headers/${name}: must be text`);
  }
  const asking = readAsking(as, problems);
  const read = check({ side: side ?? defaultSide, listener: listener ?? null, method: method ?? 'GET', authority: authority ?? '', path }, checked, problems);
  return read.ok && asking !== null ? { ok: true, question: { ...read.question, as: asking } } : read;
}

const asFields = ['caller', 'consumer', 'address'] as const;

/** null: nobody is named. */
function readAsking(input: unknown, problems: string[]): AskingAs | null {
  if (input === undefined || input === null) return null;
  if (typeof input !== 'object' || Array.isArray(input)) {
    problems.push('as: must be an object');
    return null;
  }
  const asking: { -readonly [F in keyof AskingAs]: AskingAs[F] } = {};
  for (const [name, value] of Object.entries(input)) {
    const field = asFields.find((one) => one === name);
    if (field === undefined) problems.push(`as/${name}: is not known; known are ${asFields.join(', ')}`);
    else if (typeof value !== 'string' || value.length > 2_048) problems.push(`as/${name}: must be text`);
    else asking[field] = value;
  }
  return asking;
}

const fields: ReadonlySet<string> = new Set(['side', 'listener', 'method', 'authority', 'path', 'header']);

function check(input: Readonly<Record<string, unknown>>, headers: Readonly<Record<string, string>>, problems: string[]): QuestionResult {
  const side = sides.find((each) => each === input['side']);
  if (!side) problems.push(`side: must be one of ${sides.join(', ')}`);
  const { method, authority, path, listener } = input;
  if (typeof method !== 'string' || !/^[A-Za-z-]{1,32}$/.test(method)) problems.push('method: must be a method such as GET');
  if (typeof authority !== 'string' || authority.length > 1_024) problems.push('authority: must be a host');
  if (typeof path !== 'string' || !path.startsWith('/') || path.length > 8_192) problems.push('path: is needed and must start with /');
  if (listener !== null && typeof listener !== 'string') problems.push('listener: must be a name');
  if (problems.length > 0 || !side) return { ok: false, problems };
  const question = { side, method: String(method).toUpperCase(), authority: String(authority), path: String(path), headers };
  return { ok: true, question: typeof listener === 'string' ? { ...question, listener } : question };
}
