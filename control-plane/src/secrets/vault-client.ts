import type { Clock } from '@remora/core/clock';
import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';
import { SecretError } from './secret-error.ts';
import { secretLimits } from './secret.ts';
import type { SecretSource } from './secret.ts';

type VaultSource = Extract<SecretSource, { kind: 'vault' }>;

/** HashiCorp Vault's key-value store, version 2. */
export interface VaultClient {
  /** Throws SecretError `source-failed`, without a word of what Vault answered. */
  read(source: VaultSource, signal: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface VaultClientDeps {
  /** `https://vault.internal:8200`. */
  readonly address: string;
  /** Read at each request, so that an agent can renew it. */
  readonly token: () => string;
  /** '' for none. */
  readonly namespace: string;
  /** PEM; '' for the authorities of the system. */
  readonly authority: string;
  readonly clock: Clock;
  readonly limits?: Partial<VaultLimits>;
}

export interface VaultLimits {
  readonly deadlineMs: number;
  readonly answerBytes: number;
  /** A token is renewed when less than this share of its life remains … */
  readonly renewShare: number;
  /** … and looked at this often at most. */
  readonly renewEveryMs: number;
}

const standardLimits: VaultLimits = { deadlineMs: 5_000, answerBytes: 1024 * 1024, renewShare: 0.5, renewEveryMs: 60_000 };

export function createVaultClient(deps: VaultClientDeps): VaultClient {
  return new HttpVaultClient(deps);
}

interface VaultAnswer {
  readonly status: number;
  readonly body: unknown;
}

class HttpVaultClient implements VaultClient {
  readonly #deps: VaultClientDeps;
  readonly #limits: VaultLimits;
  readonly #agent: Agent;
  #renewAtMs = 0;

  constructor(deps: VaultClientDeps) {
    this.#deps = deps;
    this.#limits = { ...standardLimits, ...deps.limits };
    this.#agent = new Agent({
      connections: 4, pipelining: 1, headersTimeout: this.#limits.deadlineMs, bodyTimeout: this.#limits.deadlineMs, maxResponseSize: this.#limits.answerBytes,
      connect: { timeout: this.#limits.deadlineMs, ...(deps.authority === '' ? {} : { ca: deps.authority }) },
    });
  }

  async read({ mount, path, field }: VaultSource, signal: AbortSignal): Promise<Uint8Array> {
    await this.#renew(signal);
    const { status, body } = await this.#ask('GET', `/v1/${encodePath(mount)}/data/${encodePath(path)}`, signal);
    if (status === 404) throw failed(`there is nothing at ${mount}/${path}, or its newest version is deleted`);
    if (status === 403) throw failed('the token may not read it');
    if (status !== 200) throw failed(`answered ${status}`);
    const data = asMap(asMap(asMap(body)['data'])['data']);
    const value = Object.hasOwn(data, field) ? data[field] : undefined;
    if (typeof value !== 'string' || value === '') throw failed(`${mount}/${path} has no text in its field ${field}`);
    const bytes = Buffer.from(value);
    if (bytes.length > secretLimits.valueBytes) throw failed(`the field ${field} has ${bytes.length} bytes, at most ${secretLimits.valueBytes} are possible`);
    return bytes;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** Extends the lease of the token before half of it is over. Where that fails the token is used for as long as it is good. */
  async #renew(signal: AbortSignal): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs < this.#renewAtMs) return;
    this.#renewAtMs = nowMs + this.#limits.renewEveryMs;
    const self = await this.#ask('GET', '/v1/auth/token/lookup-self', signal);
    const { ttl, renewable, creation_ttl: whole } = asMap(asMap(self.body)['data']);
    if (self.status !== 200 || renewable !== true || typeof ttl !== 'number' || typeof whole !== 'number' || ttl > whole * this.#limits.renewShare) return;
    await this.#ask('POST', '/v1/auth/token/renew-self', signal);
  }

  /** One request: a deadline over everything, a bound on the answer, no redirects. */
  async #ask(method: Dispatcher.HttpMethod, path: string, signal: AbortSignal): Promise<VaultAnswer> {
    const { address, token, namespace } = this.#deps;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(this.#limits.deadlineMs)]);
    try {
      const answer = await request(`${address.replace(/\/+$/, '')}${path}`, {
        method, dispatcher: this.#agent, signal: deadline,
        headers: { 'x-vault-token': token(), 'x-vault-request': 'true', accept: 'application/json', ...(namespace === '' ? {} : { 'x-vault-namespace': namespace }) },
      });
      const text = await answer.body.text();
      if (answer.statusCode >= 300 && answer.statusCode < 400) throw failed('answered with a redirect, which is not followed');
      return { status: answer.statusCode, body: text === '' ? null : JSON.parse(text) as unknown };
    } catch (error) {
      if (error instanceof SecretError) throw error;
      throw failed(reasonOf(error, deadline.aborted), error);
    }
  }
}

function reasonOf(error: unknown, late: boolean): string {
  const { code, name } = error as { readonly code?: string; readonly name?: string };
  if (error instanceof SyntaxError) return 'answered with something that is no JSON';
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return 'answered with too much';
  if (late || name === 'TimeoutError' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_CONNECT_TIMEOUT') return 'did not answer in time';
  return `cannot be reached (${code ?? name ?? 'unknown error'})`;
}

function failed(what: string, cause?: unknown): SecretError {
  return new SecretError('source-failed', `Vault: ${what}`, { cause });
}

/** Segment by segment: a path cannot leave its mount. */
function encodePath(path: string): string {
  return path.split('/').filter((part) => part !== '' && part !== '.' && part !== '..').map(encodeURIComponent).join('/');
}

function asMap(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}
