import type { ControlMessage, Hello, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { Candidate } from '@remora/snapshot/candidate';
import type { ControlConnector, ControlStream, ControlStreamHandlers } from '../control-stream.ts';
import { lanes, nackClasses, toWireHash, toWireVersion } from '../wire-codes.ts';

/** A control plane whose every word a test says. Messages arrive at once. */
export class ScriptedControlPlane implements ControlConnector {
  readonly streams: ScriptedStream[] = [];

  connect(address: string, handlers: ControlStreamHandlers): ControlStream {
    const stream = new ScriptedStream(address, handlers);
    this.streams.push(stream);
    return stream;
  }

  close(): void {}

  get last(): ScriptedStream {
    const stream = this.streams.at(-1);
    if (!stream) throw new Error('no stream was opened');
    return stream;
  }
}

type Body = NonNullable<ControlMessage['body']>;

export class ScriptedStream implements ControlStream {
  readonly address: string;
  readonly received: SidecarMessage[] = [];
  closed = false;
  readonly #handlers: ControlStreamHandlers;

  constructor(address: string, handlers: ControlStreamHandlers) {
    this.address = address;
    this.#handlers = handlers;
  }

  send(message: SidecarMessage): void {
    this.received.push(message);
  }

  close(): void {
    this.closed = true;
  }

  get hello(): Hello {
    const first = this.received[0]?.body;
    if (first?.$case !== 'hello') throw new Error('the first message is not Hello');
    return first.value;
  }

  /** Answers in short: `ack config 1.7`, `nack config 1.7 guard empties-routes`, `need 2`. Heartbeats are left out. */
  get answers(): readonly string[] {
    return this.received.flatMap(({ body }) => answerText(body));
  }

  say(body: Body): void {
    this.#handlers.onMessage({ body });
  }

  heartbeat(): void {
    this.say({ $case: 'heartbeat', value: { clockMs: 0n } });
  }

  end(cause = 'gone'): void {
    this.#handlers.onEnd(cause);
  }

  begin(candidate: Candidate, options: { readonly base?: string; readonly granted?: readonly string[]; readonly fallback?: boolean } = {}): void {
    this.say({
      $case: 'begin',
      value: {
        lane: lanes.config, version: toWireVersion(candidate.version), base: toWireHash(options.base ?? ''), hash: toWireHash(candidate.hash),
        manifest: Buffer.from(candidate.manifest), resourceCount: candidate.resources.size, resourceBytes: 0n, grantedGuards: [...(options.granted ?? [])],
        fallback: options.fallback ?? false,
      },
    });
  }

  resource(hash: string, bytes: Uint8Array): void {
    this.say({ $case: 'resource', value: { hash: toWireHash(hash), bytes: Buffer.from(bytes) } });
  }

  commit(candidate: Candidate): void {
    this.say({ $case: 'commit', value: { version: toWireVersion(candidate.version) } });
  }

  /** A whole update; `omit` resources stay out. */
  push(candidate: Candidate, options: { readonly base?: string; readonly granted?: readonly string[]; readonly omit?: ReadonlySet<string> } = {}): void {
    this.begin(candidate, options);
    for (const [hash, bytes] of candidate.resources) if (!options.omit?.has(hash)) this.resource(hash, bytes);
    this.commit(candidate);
  }

  unchanged(candidate: Candidate): void {
    this.say({ $case: 'unchanged', value: { lane: lanes.config, version: toWireVersion(candidate.version), hash: toWireHash(candidate.hash) } });
  }
}

function answerText(body: SidecarMessage['body']): string[] {
  if (body?.$case === 'needHashes') return [`need ${body.value.hashes.length}`];
  if (body?.$case === 'leaving') return ['leaving'];
  if (body?.$case !== 'ack' && body?.$case !== 'nack') return [];
  const { lane, version } = body.value;
  const head = `${lane === lanes.config ? 'config' : 'state'} ${version?.epoch}.${version?.index}`;
  if (body.$case === 'ack') return [`ack ${head}${body.value.persisted ? '' : ' not persisted'}`];
  const [refusal] = Object.entries(nackClasses).find(([, code]) => code === body.value.nackClass) ?? ['?'];
  return [`nack ${head} ${refusal} ${body.value.errors.map(({ code }) => code).join()}`];
}
