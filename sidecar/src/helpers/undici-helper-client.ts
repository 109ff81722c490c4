import { lookup as systemLookup } from 'node:dns';
import net from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import { systemRoots } from '../tls/system-roots.ts';
import { addressRule, mayConnect, type AddressRule } from './helper-addresses.ts';
import type { HelperAnswer, HelperClient, HelperFailure, HelperRequest } from './helper-client.ts';

type Undici = typeof import('undici');

export interface UndiciHelperClientOptions {
  /** Answers all addresses of a name; the system's by default. */
  readonly lookup?: LookupAll;
  /** Authorities in PEM that are believed instead of the system's. */
  readonly authorities?: string;
}

/** Where it fails there are no addresses, not even an empty list: so does the system's, whatever its types promise. */
export type LookupAll = (host: string, found: (error: Error | null, addresses?: readonly { readonly address: string; readonly family: number }[]) => void) => void;

/**
 * Helper requests over undici, which is loaded with the first one. Connections are kept for a short while, at most `connectionsMax` to one origin; redirects are
 * not followed, compression is not asked for. An address is looked at where the connection to it is made, so that a name cannot mean another one by then.
 */
export class UndiciHelperClient implements HelperClient {
  readonly #options: UndiciHelperClientOptions;
  readonly #agents = new Map<AddressRule, Agent>();
  readonly #ended = new AbortController();
  #undici: Promise<Undici> | null = null;

  constructor(options: UndiciHelperClientOptions = {}) {
    this.#options = options;
  }

  async request(request: HelperRequest): Promise<HelperAnswer> {
    const url = URL.canParse(request.url) ? new URL(request.url) : null;
    const rule = url === null ? null : addressRule(url, request.allowPrivateAddresses);
    if (url === null || rule === null) return failure('address', `${request.url.slice(0, 200)} may not be asked`);
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    if (net.isIP(host) !== 0 && !mayConnect(rule, host)) return failure('address', refusedAddress(host, rule));
    const undici = await (this.#undici ??= import('undici'));
    if (this.#ended.signal.aborted) return failure('closed', 'the sidecar stops');
    const deadline = AbortSignal.timeout(request.deadlineMs);
    const signal = AbortSignal.any([deadline, this.#ended.signal]);
    try {
      return await this.#ask(undici, this.#agent(undici, rule), url, request, signal);
    } catch (error) {
      if (deadline.aborted) return failure('timeout', `no answer within ${request.deadlineMs} ms`);
      return this.#ended.signal.aborted ? failure('closed', 'the sidecar stops') : describe(error);
    }
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }

  async #ask(undici: Undici, dispatcher: Dispatcher, url: URL, request: HelperRequest, signal: AbortSignal): Promise<HelperAnswer> {
    const { method, headers = {}, body, deadlineMs, bodyBytesMax } = request;
    const response = await undici.request(url, {
      dispatcher, method, headers: { 'accept-encoding': 'identity', ...headers }, body: body ?? null, signal, headersTimeout: deadlineMs, bodyTimeout: deadlineMs,
    });
    // Whatever is refused from here on ends its connection with it.
    response.body.on('error', () => {});
    const refused = refuseHead(response, bodyBytesMax, request.takesRedirects === true);
    if (refused !== null) {
      response.body.destroy();
      return refused;
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of response.body as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > bodyBytesMax) {
        response.body.destroy();
        return failure('too-large', `more than ${bodyBytesMax} bytes`);
      }
      parts.push(part);
    }
    return { ok: true, status: response.statusCode, headers: plainHeaders(response.headers), body: Buffer.concat(parts) };
  }

  #agent(undici: Undici, rule: AddressRule): Agent {
    let agent = this.#agents.get(rule);
    if (agent === undefined) {
      const { authorities } = this.#options;
      if (authorities === undefined) systemRoots();
      agent = new undici.Agent({
        connections: connectionsMax, pipelining: 1, keepAliveTimeout: keepAliveMs, keepAliveMaxTimeout: keepAliveMs, maxHeaderSize: 16_384, allowH2: false,
        connect: { timeout: connectTimeoutMs, lookup: this.#lookup(rule), ...(authorities !== undefined && { ca: authorities }) },
      });
      this.#agents.set(rule, agent);
    }
    return agent;
  }

  /** Names lead to addresses that may be connected to, or nowhere: one that may not be spoils the others, since who answers so is not to be trusted. */
  #lookup(rule: AddressRule): net.LookupFunction {
    const all = this.#options.lookup ?? lookUpAll;
    return (host, options, found) => {
      all(host, (error, addresses = []) => {
        const refused = addresses.find(({ address }) => !mayConnect(rule, address));
        const [first] = addresses;
        if (error !== null || first === undefined) found(error ?? new Error(`${host} has no address`), '', 0);
        else if (refused !== undefined) found(new AddressRefused(`${host} is ${refusedAddress(refused.address, rule)}`), '', 0);
        else if (options.all === true) found(null, [...addresses]);
        else found(null, first.address, first.family);
      });
    };
  }
}

class AddressRefused extends Error {}

function lookUpAll(host: string, found: Parameters<LookupAll>[1]): void {
  systemLookup(host, { all: true }, (error, addresses) => found(error, addresses));
}

function refusedAddress(address: string, rule: AddressRule): string {
  return rule === 'private' ? `${address}, which is not private: https is needed for it` : `${address}, which is private: allowPrivateAddresses is needed for it`;
}

function refuseHead({ statusCode, headers }: Dispatcher.ResponseData, bodyBytesMax: number, takesRedirects: boolean): HelperAnswer | null {
  if (!takesRedirects && statusCode >= 300 && statusCode < 400) return failure('redirect', `status ${statusCode}: redirects are not followed`);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') return failure('encoded', 'the answer is compressed, which was not asked for');
  return Number(headers['content-length'] ?? 0) > bodyBytesMax ? failure('too-large', `more than ${bodyBytesMax} bytes`) : null;
}

function plainHeaders(headers: Dispatcher.ResponseData['headers']): Readonly<Record<string, string>> {
  const plain = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) plain[name] = Array.isArray(value) ? value.join(', ') : value;
  return plain;
}

function describe(error: unknown): HelperAnswer {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) if (cause instanceof AddressRefused) return failure('address', cause.message);
  const { code = '', message, name } = error as NodeJS.ErrnoException;
  const early = name === 'HTTPParserError' || code.startsWith('UND_ERR_SOCKET') || code.startsWith('HPE_') || code === 'ECONNRESET' || code === 'UND_ERR_HEADERS_OVERFLOW';
  const text = message === '' || message === undefined ? code : message;
  return failure(code.endsWith('TIMEOUT') ? 'timeout' : early ? 'broken' : 'connect', code === '' || text.includes(code) ? text : `${code}: ${text}`);
}

function failure(code: HelperFailure, message: string): HelperAnswer {
  return { ok: false, code, message };
}

const connectionsMax = 8;
const keepAliveMs = 10_000;
const connectTimeoutMs = 3_000;
