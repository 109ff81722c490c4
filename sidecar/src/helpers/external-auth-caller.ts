import { lookup as systemLookup } from 'node:dns';
import net from 'node:net';
import type { Client, Metadata, ServiceError } from '@grpc/grpc-js';
import type { Clock } from '@remora/core/clock';
import { authQuestion } from '@remora/policy-external-auth/wire';
import { addressRule, mayConnect } from './helper-addresses.ts';
import type { HelperClient, HelperFailure } from './helper-client.ts';
import { systemRoots } from '../tls/system-roots.ts';
import type { LookupAll } from './undici-helper-client.ts';

type Question = ReturnType<typeof authQuestion.Question.decode>;
type Reply = ReturnType<typeof authQuestion.Reply.decode>;
type GrpcModule = typeof import('@grpc/grpc-js');

export interface ExternalAuthCallerOptions {
  readonly client: HelperClient;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Answers all addresses of a name; the system's by default. */
  readonly lookup?: LookupAll;
}

/**
 * Asks authorizers for the data threads: by HTTP over the helper client, by gRPC over channels of its own, one to each authorizer. An authorizer that failed
 * `failuresMax` times in a row is left alone for `openMs`, then one question tries: meanwhile there is no answer at once. Never rejects.
 */
export class ExternalAuthCaller {
  readonly #options: ExternalAuthCallerOptions;
  readonly #breakers = new Map<string, Breaker>();
  readonly #channels = new Map<string, Promise<Client>>();
  #grpc: Promise<GrpcModule> | null = null;

  constructor(options: ExternalAuthCallerOptions) {
    this.#options = options;
  }

  async answer(body: Uint8Array): Promise<Uint8Array> {
    const question = authQuestion.Question.decode(body);
    const breaker = this.#breaker(question.url === '' ? question.address : question.url);
    const nowMs = this.#options.clock.monotonicMs();
    if (breaker.failures >= failuresMax) {
      if (nowMs < breaker.openUntilMs || breaker.trying) return encode({ failure: 'the authorizer failed again and again and is left alone for a moment' });
      breaker.trying = true;
    }
    const reply = question.url === '' ? await this.#askGrpc(question) : await this.#askHttp(question);
    this.#learn(breaker, reply.well);
    return encode(reply.reply);
  }

  close(): void {
    for (const channel of this.#channels.values()) void channel.then((client) => client.close(), () => {});
    this.#channels.clear();
  }

  async #askHttp({ url, headers, deadlineMs, allowPrivateAddresses, post, body }: Question): Promise<Outcome> {
    const answer = await this.#options.client.request({
      url, method: post ? 'POST' : 'GET', ...(post && { body }), headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])), deadlineMs, bodyBytesMax: answerBytesMax, allowPrivateAddresses, takesRedirects: true,
    });
    if (!answer.ok) return { well: spoke.has(answer.code), reply: { failure: `${answer.code}: ${answer.message}`.slice(0, 300) } };
    return { well: answer.status < 500, reply: { status: answer.status, headers: Object.entries(answer.headers).map(([name, value]) => ({ name, value })), body: Buffer.from(answer.body) } };
  }

  async #askGrpc(question: Question): Promise<Outcome> {
    let channel: Promise<Client> | null = null;
    const key = `${question.address} ${String(question.tls)} ${String(question.allowPrivateAddresses)}`;
    try {
      const grpc = await (this.#grpc ??= import('@grpc/grpc-js'));
      channel = this.#channel(key, question, grpc);
      const outcome = await check(await channel, new grpc.Metadata(), question);
      // Nobody is there: the name may mean another address by now.
      if (outcome.code === grpc.status.UNAVAILABLE) this.#drop(key, channel);
      return outcome;
    } catch (error) {
      this.#drop(key, channel);
      return { well: false, reply: { failure: (error instanceof Error ? error.message : String(error)).slice(0, 300) } };
    }
  }

  #channel(key: string, question: Question, grpc: GrpcModule): Promise<Client> {
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      for (const oldest of this.#channels.keys()) {
        if (this.#channels.size < authorizersMax) break;
        this.#drop(oldest, this.#channels.get(oldest) ?? null);
      }
      this.#channels.set(key, channel = this.#connect(question, grpc));
    }
    return channel;
  }

  /** Unless there is another one by now. */
  #drop(key: string, channel: Promise<Client> | null): void {
    if (channel === null || this.#channels.get(key) !== channel) return;
    this.#channels.delete(key);
    void channel.then((client) => client.close(), () => {});
  }

  /** The addresses are looked at here and connected to as they are, one after the other, so that the name cannot mean another one by then. */
  async #connect({ address, tls, allowPrivateAddresses }: Question, grpc: GrpcModule): Promise<Client> {
    const url = new URL(`${tls ? 'https' : 'http'}://${address}`);
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const rule = addressRule(url, allowPrivateAddresses);
    if (rule === null) throw new Error(`${address} may not be asked without TLS`);
    const addresses = net.isIP(host) === 0 ? await this.#lookUp(host) : [host];
    const refused = addresses.find((one) => !mayConnect(rule, one));
    if (addresses.length === 0 || refused !== undefined) throw new Error(addresses.length === 0 ? `${host} has no address` : `${host} is ${refused ?? ''}, which may not be asked`);
    const port = address.slice(address.lastIndexOf(':') + 1);
    if (tls) systemRoots();
    return new grpc.Client(targetOf(addresses, port), tls ? grpc.credentials.createSsl() : grpc.credentials.createInsecure(), {
      'grpc.default_authority': address, ...(tls && { 'grpc.ssl_target_name_override': host }), 'grpc.max_receive_message_length': answerBytesMax, 'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 2_000, 'grpc.enable_retries': 0,
    });
  }

  #lookUp(host: string): Promise<readonly string[]> {
    const all = this.#options.lookup ?? lookUpAll;
    return new Promise((resolve, reject) => {
      all(host, (error, addresses = []) => (error === null ? resolve(addresses.map(({ address }) => address)) : reject(error)));
    });
  }

  #breaker(target: string): Breaker {
    let breaker = this.#breakers.get(target);
    if (breaker === undefined) {
      if (this.#breakers.size >= authorizersMax) this.#breakers.clear();
      this.#breakers.set(target, breaker = { failures: 0, openUntilMs: 0, trying: false });
    }
    return breaker;
  }

  #learn(breaker: Breaker, fine: boolean): void {
    breaker.trying = false;
    breaker.failures = fine ? 0 : breaker.failures + 1;
    if (breaker.failures >= failuresMax) breaker.openUntilMs = this.#options.clock.monotonicMs() + openMs;
  }
}

interface Breaker {
  failures: number;
  openUntilMs: number;
  /** Open until now, and one question is under way to see whether it still has to be. */
  trying: boolean;
}

interface Outcome {
  readonly reply: Partial<Reply>;
  /** The authorizer is. What one question brought upon itself, a body that it does not take for one, says nothing of others. */
  readonly well: boolean;
  /** Of gRPC. */
  readonly code?: number;
}

/** Failures of which the authorizer is not the cause, or not for every question. */
const spoke: ReadonlySet<HelperFailure> = new Set<HelperFailure>(['too-large', 'encoded', 'redirect', 'closed']);
/** The same of gRPC: INVALID_ARGUMENT, RESOURCE_EXHAUSTED (a message that is too long, too), OUT_OF_RANGE. */
const spokeGrpc: ReadonlySet<number> = new Set([3, 8, 11]);
/** Addresses of one name that are tried. */
const addressesMax = 8;

const answerBytesMax = 64 * 1024;
const authorizersMax = 64;
const failuresMax = 5;
const openMs = 1_000;
const method = '/envoy.service.auth.v3.Authorization/Check';

/** IPv4 where there is any: a channel has addresses of one kind. */
function targetOf(addresses: readonly string[], port: string): string {
  const v4 = addresses.filter((one) => net.isIPv4(one));
  const [scheme, hosts] = v4.length > 0 ? ['ipv4', v4] : ['ipv6', addresses.map((one) => `[${one}]`)];
  return `${scheme}:${hosts.slice(0, addressesMax).map((host) => `${host}:${port}`).join(',')}`;
}

function check(client: Client, metadata: Metadata, { body, deadlineMs }: Question): Promise<Outcome> {
  return new Promise((resolve) => {
    const done = (error: ServiceError | null, answer?: Buffer): void => {
      if (error === null && answer !== undefined) resolve({ well: true, reply: { body: answer } });
      else resolve({ well: error !== null && spokeGrpc.has(error.code), ...(error !== null && { code: error.code }), reply: { failure: `gRPC ${String(error?.code ?? '')}: ${error?.details ?? 'no answer'}`.slice(0, 300) } });
    };
    client.makeUnaryRequest(method, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes, body, metadata, { deadline: Date.now() + deadlineMs }, done);
  });
}

function encode(reply: Partial<Reply>): Uint8Array {
  return authQuestion.Reply.encode(authQuestion.Reply.fromPartial(reply)).finish();
}

function lookUpAll(host: string, found: Parameters<LookupAll>[1]): void {
  systemLookup(host, { all: true }, (error, addresses) => found(error, addresses));
}
