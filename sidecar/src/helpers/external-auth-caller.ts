import { lookup as systemLookup } from 'node:dns';
import net from 'node:net';
import type { Client, Metadata, ServiceError } from '@grpc/grpc-js';
import type { Clock } from '@remora/core/clock';
import { authQuestion } from '@remora/policy-external-auth/wire';
import { addressRule, mayConnect } from './helper-addresses.ts';
import type { HelperClient } from './helper-client.ts';
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
 * `failuresMax` times in a row is left alone for `openMs`: meanwhile there is no answer at once. Never rejects.
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
    if (nowMs < breaker.openUntilMs) return encode({ failure: 'the authorizer failed again and again and is left alone for a moment' });
    const reply = question.url === '' ? await this.#askGrpc(question) : await this.#askHttp(question);
    this.#learn(breaker, reply.failure === undefined && (reply.status ?? 0) < 500);
    return encode(reply);
  }

  close(): void {
    for (const channel of this.#channels.values()) void channel.then((client) => client.close(), () => {});
    this.#channels.clear();
  }

  async #askHttp({ url, headers, deadlineMs, allowPrivateAddresses, post, body }: Question): Promise<Partial<Reply>> {
    const answer = await this.#options.client.request({
      url, method: post ? 'POST' : 'GET', ...(post && { body }), headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])), deadlineMs, bodyBytesMax: answerBytesMax, allowPrivateAddresses, takesRedirects: true,
    });
    if (!answer.ok) return { failure: `${answer.code}: ${answer.message}`.slice(0, 300) };
    return { status: answer.status, headers: Object.entries(answer.headers).map(([name, value]) => ({ name, value })), body: Buffer.from(answer.body) };
  }

  async #askGrpc(question: Question): Promise<Partial<Reply>> {
    const key = `${question.address} ${String(question.tls)} ${String(question.allowPrivateAddresses)}`;
    try {
      const grpc = await (this.#grpc ??= import('@grpc/grpc-js'));
      const client = await this.#channel(key, question, grpc);
      return await check(client, new grpc.Metadata(), question);
    } catch (error) {
      // A name may mean another address by now.
      this.#drop(key);
      return { failure: (error instanceof Error ? error.message : String(error)).slice(0, 300) };
    }
  }

  #channel(key: string, question: Question, grpc: GrpcModule): Promise<Client> {
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      for (const oldest of this.#channels.keys()) {
        if (this.#channels.size < authorizersMax) break;
        this.#drop(oldest);
      }
      this.#channels.set(key, channel = this.#connect(question, grpc));
    }
    return channel;
  }

  #drop(key: string): void {
    const channel = this.#channels.get(key);
    this.#channels.delete(key);
    void channel?.then((client) => client.close(), () => {});
  }

  /** The address is looked at here and connected to as it is, so that the name cannot mean another one by then. */
  async #connect({ address, tls, allowPrivateAddresses }: Question, grpc: GrpcModule): Promise<Client> {
    const url = new URL(`${tls ? 'https' : 'http'}://${address}`);
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const rule = addressRule(url, allowPrivateAddresses);
    if (rule === null) throw new Error(`${address} may not be asked without TLS`);
    const addresses = net.isIP(host) === 0 ? await this.#lookUp(host) : [host];
    const refused = addresses.find((one) => !mayConnect(rule, one));
    const [first] = addresses;
    if (first === undefined || refused !== undefined) throw new Error(first === undefined ? `${host} has no address` : `${host} is ${refused ?? ''}, which may not be asked`);
    const port = address.slice(address.lastIndexOf(':') + 1);
    return new grpc.Client(net.isIPv6(first) ? `[${first}]:${port}` : `${first}:${port}`, tls ? grpc.credentials.createSsl() : grpc.credentials.createInsecure(), {
      'grpc.default_authority': address, ...(tls && { 'grpc.ssl_target_name_override': host }), 'grpc.max_receive_message_length': answerBytesMax, 'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 2_000, 'grpc.enable_retries': 0,
    });
  }

  #lookUp(host: string): Promise<readonly string[]> {
    const all = this.#options.lookup ?? lookUpAll;
    return new Promise((resolve, reject) => {
      all(host, (error, addresses) => (error === null ? resolve(addresses.map(({ address }) => address)) : reject(error)));
    });
  }

  #breaker(target: string): Breaker {
    let breaker = this.#breakers.get(target);
    if (breaker === undefined) {
      if (this.#breakers.size >= authorizersMax) this.#breakers.clear();
      this.#breakers.set(target, breaker = { failures: 0, openUntilMs: 0 });
    }
    return breaker;
  }

  #learn(breaker: Breaker, fine: boolean): void {
    breaker.failures = fine ? 0 : breaker.failures + 1;
    if (breaker.failures >= failuresMax) breaker.openUntilMs = this.#options.clock.monotonicMs() + openMs;
  }
}

interface Breaker {
  failures: number;
  openUntilMs: number;
}

const answerBytesMax = 64 * 1024;
const authorizersMax = 64;
const failuresMax = 5;
const openMs = 1_000;
const method = '/envoy.service.auth.v3.Authorization/Check';

function check(client: Client, metadata: Metadata, { body, deadlineMs }: Question): Promise<Partial<Reply>> {
  return new Promise((resolve) => {
    const done = (error: ServiceError | null, answer?: Buffer): void => {
      resolve(error === null && answer !== undefined ? { body: answer } : { failure: `gRPC ${String(error?.code ?? '')}: ${error?.details ?? 'no answer'}`.slice(0, 300) });
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
