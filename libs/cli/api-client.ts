import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';
import type { ConnectionOptions } from 'node:tls';
import { exitCodes } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { CommandFailure } from './command-failure.ts';

/** The control plane's HTTP API, as every command uses it. One per command; `close` ends its connections. */
export interface ApiClient {
  readonly server: string;
  /** Resolves with any answer below 400; otherwise throws ApiProblem, or CommandFailure where nothing answered. */
  call(question: ApiQuestion): Promise<ApiAnswer>;
  /** Server-sent events of a path until the server or `signal` ends it. */
  events(path: string, signal: AbortSignal): AsyncGenerator<ServerSentEvent>;
  close(): Promise<void>;
}

export interface ApiQuestion {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Starts with `/`; segments are already percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON, or as it is where it is bytes. */
  readonly body?: object | Uint8Array;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Time for the whole answer, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed JSON; text where it is something else. */
  readonly body: unknown;
}

export interface ServerSentEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** An answer that is a problem document (RFC 9457), or any other status from 400. */
export class ApiProblem extends CommandFailure {
  readonly status: number;
  readonly problem: ProblemDocument;

  constructor(status: number, problem: ProblemDocument) {
    super(exitCodeOf(status, problem), (problem.detail ?? problem.title ?? `the control plane answered ${status}`) + hintOf(problem), { detail: problem });
    this.name = 'ApiProblem';
    this.status = status;
    this.problem = problem;
  }
}

export interface ProblemDocument {
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly code?: string;
  readonly [extension: string]: unknown;
}

export const defaultServer = 'http://127.0.0.1:8600';
const defaultTimeoutMs = 30_000;
const connectTimeoutMs = 3_000;
const answerBytesMax = 256 * 1024 * 1024;

export interface ApiClientOptions {
  readonly server: string;
  /** Named in the history where the control plane asks nobody who they are. */
  readonly author: string;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  /** Asked once; '' for none. */
  readonly token?: (server: URL) => Promise<string>;
  /** Asked once: whom to trust. */
  readonly tls?: (server: URL) => Promise<ConnectionOptions>;
}

/** Client of one control plane. Nothing is asked for before the first call. */
export function openApi(options: ApiClientOptions): ApiClient {
  const server = checkedServer(options.server);
  let opened: Promise<OpenConnection> | null = null;
  const connection = (): Promise<OpenConnection> => (opened ??= connect(server, options));
  return {
    server,
    async call(question) {
      const { agent, headers } = await connection();
      return call(agent, server, question, headers, options.timeoutMs ?? defaultTimeoutMs);
    },
    async *events(path, signal) {
      const { agent, headers } = await connection();
      yield* readEvents(agent, server, path, signal, headers);
    },
    async close() {
      await (await opened?.catch(() => null))?.agent.destroy();
    },
  };
}

interface OpenConnection {
  readonly agent: Agent;
  /** Of every request. */
  readonly headers: Readonly<Record<string, string>>;
}

async function connect(server: string, { author, token, tls }: ApiClientOptions): Promise<OpenConnection> {
  const url = new URL(server);
  const secure = (await tls?.(url)) ?? {};
  const bearer = (await token?.(url)) ?? '';
  const agent = new Agent({ connect: { timeout: connectTimeoutMs, ...(secure as object) }, connections: 4, pipelining: 1, maxResponseSize: answerBytesMax, keepAliveTimeout: 1_000 });
  return { agent, headers: { 'user-agent': 'remora-cli', 'x-remora-author': encodeURIComponent(author), ...(bearer === '' ? {} : { authorization: `Bearer ${bearer}` }) } };
}

function checkedServer(text: string): string {
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) throw new CommandFailure(exitCodes.usage, `--server: ${text} is no address; expected something like ${defaultServer}`);
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new CommandFailure(exitCodes.usage, `--server: ${url.protocol}// is not known; expected http:// or https://`);
  return url.origin + url.pathname.replace(/\/+$/, '');
}

async function call(agent: Agent, server: string, question: ApiQuestion, common: Readonly<Record<string, string>>, defaultMs: number): Promise<ApiAnswer> {
  const timeoutMs = question.timeoutMs ?? defaultMs;
  const url = server + question.path + queryText(question.query);
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await request(url, {
      method: question.method,
      dispatcher: agent,
      headers: { accept: 'application/json', ...common, ...bodyHeaders(question), ...question.headers },
      body: bodyOf(question),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal,
    });
    const body = parseBody(answer.headers['content-type'], await answer.body.text());
    if (answer.statusCode >= 400) throw new ApiProblem(answer.statusCode, asProblem(answer.statusCode, body));
    return { status: answer.statusCode, headers: plainHeaders(answer.headers), body };
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw unreachable(server, error, timeoutMs, signal);
  }
}

function unreachable(server: string, error: unknown, timeoutMs: number, signal: AbortSignal): CommandFailure {
  const code = (error as { readonly code?: string }).code ?? '';
  const inner = error instanceof AggregateError ? error.errors.map((one: unknown) => (one as Error).message).join(', ') : '';
  const reason = signal.aborted || code === 'UND_ERR_HEADERS_TIMEOUT' ? `no answer within ${timeoutMs} ms` : inner || (error as Error).message || code;
  return new CommandFailure(
    exitCodes.unreachable,
    `cannot reach the control plane at ${server}: ${reason}\nIs it running (\`remora control-plane\`)? Another address: --server or REMORA_SERVER.`,
    { cause: error, detail: { title: 'cannot reach the control plane', server, reason } },
  );
}

function bodyHeaders(question: ApiQuestion): Record<string, string> {
  if (question.body === undefined) return {};
  return { 'content-type': question.contentType ?? 'application/json' };
}

function bodyOf(question: ApiQuestion): string | Uint8Array | null {
  if (question.body === undefined) return null;
  return question.body instanceof Uint8Array ? question.body : JSON.stringify(question.body);
}

function queryText(query: ApiQuestion['query']): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

function parseBody(contentType: string | string[] | undefined, text: string): unknown {
  const type = String(contentType ?? '');
  if (!/\bjson\b/.test(type)) return text;
  try {
    return text === '' ? null : JSON.parse(text);
  } catch (error) {
    throw new CommandFailure(exitCodes.serverFailed, `the answer says it is JSON and is not: ${(error as Error).message}`, { cause: error });
  }
}

function asProblem(status: number, body: unknown): ProblemDocument {
  if (typeof body === 'object' && body !== null) return body as ProblemDocument;
  return { status, title: `the control plane answered ${status}`, detail: String(body).slice(0, 2_000) };
}

function plainHeaders(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const plain: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) plain[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return plain;
}

/** What helps where nobody is known. */
function hintOf({ code, reason }: ProblemDocument): string {
  if (code !== 'unauthenticated') return '';
  return reason === 'missing' ? '\nLog in with `remora login`, or give a token in REMORA_TOKEN.' : '\nIt comes from REMORA_TOKEN, or from `remora login`.';
}

/** Codes of problems that say more than their status. */
const exitCodesByProblem: Readonly<Record<string, ExitCode>> = {
  guard: exitCodes.refused,
  'identity-off': exitCodes.refused,
  referred: exitCodes.refused,
  'unknown-guard': exitCodes.usage,
  'bad-parameter': exitCodes.usage,
  'write-contended': exitCodes.conflict,
  gone: exitCodes.notFound,
};

function exitCodeOf(status: number, problem: ProblemDocument): ExitCode {
  const byProblem = Object.hasOwn(exitCodesByProblem, problem.code ?? '') ? exitCodesByProblem[problem.code ?? ''] : undefined;
  if (byProblem !== undefined) return byProblem;
  if (status === 404 || status === 410) return exitCodes.notFound;
  if (status === 409 || status === 412) return exitCodes.conflict;
  return status >= 500 ? exitCodes.serverFailed : exitCodes.refused;
}

async function* readEvents(agent: Agent, server: string, path: string, signal: AbortSignal, common: Readonly<Record<string, string>>): AsyncGenerator<ServerSentEvent> {
  let answer: Dispatcher.ResponseData;
  try {
    answer = await request(server + path, { dispatcher: agent, headers: { accept: 'text/event-stream', ...common }, headersTimeout: defaultTimeoutMs, bodyTimeout: 0, signal });
  } catch (error) {
    if (signal.aborted) return;
    throw unreachable(server, error, defaultTimeoutMs, AbortSignal.any([]));
  }
  if (answer.statusCode >= 400) throw new ApiProblem(answer.statusCode, asProblem(answer.statusCode, parseBody(answer.headers['content-type'], await answer.body.text())));
  try {
    yield* parseEvents(answer.body);
  } catch (error) {
    if (!signal.aborted) throw unreachable(server, error, 0, AbortSignal.any([]));
  }
}

const eventCharsMax = 1024 * 1024;

async function* parseEvents(body: AsyncIterable<Buffer>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true });
    const blocks = pending.split(/\r?\n\r?\n/);
    pending = blocks.pop() ?? '';
    if (pending.length > eventCharsMax) throw new RangeError('an event is longer than 1 MiB');
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event !== null) yield event;
    }
  }
}

function parseEvent(block: string): ServerSentEvent | null {
  let id = '';
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') id = value;
    else if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  }
  return data.length === 0 ? null : { id, event, data: data.join('\n') };
}
