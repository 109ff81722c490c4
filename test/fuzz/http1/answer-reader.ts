/** An answer as a client reads it. */
export interface ReadAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** All of it came. */
  readonly complete: boolean;
}

export interface ReadAnswers {
  /** Final ones, in order; the last may be incomplete. */
  readonly answers: readonly ReadAnswer[];
  readonly interim: number;
  /** What no client could read; '' where there is nothing. */
  readonly unreadable: string;
}

/**
 * Reads what a gateway sent to a client, strictly and by other means than `libs/http`: whole text, lines, no state. `methods` are those of
 * the requests, as answers to HEAD have no body; `ended` says that the connection ended in an orderly way.
 */
export function readAnswers(text: string, methods: readonly string[], ended: boolean): ReadAnswers {
  const answers: ReadAnswer[] = [];
  let interim = 0;
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf('\r\n\r\n', at);
    if (end < 0) return { answers, interim, unreadable: /^(H|HT|HTT|HTTP.*)/s.test(text.slice(at)) ? '' : text.slice(at, at + 100) };
    const [start = '', ...lines] = text.slice(at, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(start)?.[1] ?? 0);
    const fields = lines.map((line): [string, string] => { const colon = line.indexOf(':'); return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, '')]; });
    if (status === 0 || lines.some((line) => !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:/.test(line) || /[\r\n\0]/.test(line))) return { answers, interim, unreadable: text.slice(at, end).slice(0, 200) };
    at = end + 4;
    if (status < 200) {
      interim++;
      continue;
    }
    const method = methods[answers.length] ?? 'GET';
    const read = readBody(text, at, fields, method === 'HEAD' || status === 204 || status === 304, ended);
    if (typeof read === 'string') return { answers, interim, unreadable: read };
    answers.push({ status, headers: fields, body: read.body, complete: read.complete });
    if (!read.complete) return { answers, interim, unreadable: '' };
    at = read.end;
  }
  return { answers, interim, unreadable: '' };
}

interface ReadBody {
  readonly body: string;
  readonly complete: boolean;
  readonly end: number;
}

function readBody(text: string, at: number, fields: readonly [string, string][], bodiless: boolean, ended: boolean): ReadBody | string {
  const lengths = fields.filter(([name]) => name === 'content-length');
  const codings = fields.filter(([name]) => name === 'transfer-encoding');
  if (lengths.length > 1 || codings.length > 1 || (lengths.length > 0 && codings.length > 0)) return `framed twice: ${JSON.stringify([...lengths, ...codings])}`;
  if (bodiless) return { body: '', complete: true, end: at };
  if (codings.length > 0) return codings[0]?.[1] === 'chunked' ? readChunks(text, at) : `unknown coding ${codings[0]?.[1]}`;
  if (lengths.length === 0) return { body: text.slice(at), complete: ended, end: text.length };
  const length = Number(lengths[0]?.[1]);
  return { body: text.slice(at, at + length), complete: text.length - at >= length, end: at + length };
}

function readChunks(text: string, from: number): ReadBody | string {
  let at = from;
  let body = '';
  for (;;) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return { body, complete: false, end: text.length };
    const size = text.slice(at, line);
    if (!/^[0-9a-f]{1,15}$/.test(size)) return `chunk size ${JSON.stringify(size.slice(0, 40))}`;
    const length = Number.parseInt(size, 16);
    at = line + 2;
    if (length === 0) {
      const end = text.startsWith('\r\n', at) ? at + 2 : text.indexOf('\r\n\r\n', at) + 4;
      return end < 4 ? { body, complete: false, end: text.length } : { body, complete: true, end };
    }
    if (text.length < at + length + 2) return { body: body + text.slice(at, at + length), complete: false, end: text.length };
    if (text.slice(at + length, at + length + 2) !== '\r\n') return 'a chunk does not end where it should';
    body += text.slice(at, at + length);
    at += length + 2;
  }
}

export function headerOf(answer: ReadAnswer, name: string): string {
  return answer.headers.find(([each]) => each === name)?.[1] ?? '';
}
