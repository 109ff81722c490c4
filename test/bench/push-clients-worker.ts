/**
 * The sidecars of `bench push`, in a process of their own: real gRPC streams, one connection each, which decode what they
 * get, verify every hash and that the manifest is complete, and answer. Driven by lines of JSON on stdin; answers on stdout.
 */
import { createInterface } from 'node:readline';
import { MessageEncoder } from '@remora/control-plane/compile/message-encoder';
import { TestSidecar } from '@remora/control-plane/push/testdata/test-sidecar';
import { ControlMessage, PushService, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { openGrpcStream, type GrpcStream } from './grpc-stream.ts';

interface Command {
  readonly id: number;
  readonly command: 'connect' | 'wait-in-sync' | 'counts' | 'reset' | 'drop';
  readonly address?: string;
  readonly sidecars?: number;
  readonly services?: number;
}

/** A sidecar on its own connection, with what it received since the last reset. */
class BenchSidecar {
  readonly core: TestSidecar;
  readonly service: string;
  messages = 0;
  bytes = 0;
  acked = { config: false, state: false };
  #stream: GrpcStream | null = null;
  #again: NodeJS.Timeout | undefined;

  constructor(index: number, services: number) {
    this.service = `s${index % services}`;
    this.core = new TestSidecar({ nodeId: `${this.service}-${index}`, subject: { kind: 'service', name: this.service } });
  }

  open(address: string, onSync: () => void): void {
    this.acked = { config: false, state: false };
    const stream = openGrpcStream({
      address, path: PushService.sync.path,
      message: (bytes) => this.#receive(bytes),
      // Late: the stream that was closed before may end after the next one began.
      ended: () => {
        if (this.#stream !== stream) return;
        reconnects++;
        this.#stream = null;
        this.#again = setTimeout(() => this.open(address, onSync), reconnectMs);
      },
    });
    this.#stream = stream;
    this.core.open((message) => {
      stream.send(encoder.encode(SidecarMessage, message));
      if (message.body?.$case !== 'ack') return;
      this.acked[message.body.value.lane === 2 ? 'state' : 'config'] = true;
      if (this.acked.config && this.acked.state) onSync();
    });
  }

  #receive(bytes: Buffer): void {
    const message = ControlMessage.decode(bytes);
    if (message.body?.$case !== 'heartbeat') {
      this.messages++;
      this.bytes += bytes.length;
    }
    this.core.receive(message);
    this.#forgetLog();
  }

  beat(): void {
    if (this.#stream) this.core.heartbeat();
  }

  reset(): void {
    this.messages = 0;
    this.bytes = 0;
  }

  close(): void {
    clearTimeout(this.#again);
    const stream = this.#stream;
    this.#stream = null;
    stream?.close();
  }

  /** What tests look at, and a benchmark would only keep. */
  #forgetLog(): void {
    const { begins, states, log } = this.core;
    begins.length = 0;
    states.length = 0;
    log.length = 0;
  }
}

const encoder = new MessageEncoder();
/** A connection that broke is opened again, as sidecars do. */
const reconnectMs = 200;
let reconnects = 0;

const sidecars: BenchSidecar[] = [];
let inSync = new Set<BenchSidecar>();
let waiting: (() => void) | null = null;

function settle(sidecar: BenchSidecar): void {
  inSync.add(sidecar);
  if (inSync.size === sidecars.length) waiting?.();
}

function answer(id: number, value: object): void {
  process.stdout.write(`${JSON.stringify({ id, ...value })}\n`);
}

function untilInSync(): Promise<void> {
  if (inSync.size === sidecars.length) return Promise.resolve();
  return new Promise((resolve) => {
    waiting = resolve;
  });
}

function counts(): object {
  const byService: Record<string, { messages: number; bytes: number; bytesMax: number }> = {};
  for (const { service, messages, bytes } of sidecars) {
    const sum = byService[service] ??= { messages: 0, bytes: 0, bytesMax: 0 };
    sum.messages += messages;
    sum.bytes += bytes;
    sum.bytesMax = Math.max(sum.bytesMax, bytes);
  }
  return { byService, reconnects, violations: sidecars.flatMap(({ core }) => core.violations).slice(0, 5) };
}

async function run({ id, command, address = '', sidecars: count = 0, services = 1 }: Command): Promise<void> {
  if (command === 'connect') {
    const started = performance.now();
    while (sidecars.length < count) sidecars.push(new BenchSidecar(sidecars.length, services));
    inSync = new Set();
    for (const [i, sidecar] of sidecars.entries()) {
      sidecar.open(address, () => settle(sidecar));
      // The kernel queues some hundred new connections; what it drops, it tries again after seconds.
      if (i % 50 === 49) await new Promise<void>((resolve) => { setImmediate(resolve); });
    }
    await untilInSync();
    return answer(id, { ms: performance.now() - started });
  }
  if (command === 'reset') for (const sidecar of sidecars) sidecar.reset();
  if (command === 'drop') for (const sidecar of sidecars) sidecar.close();
  answer(id, command === 'counts' ? counts() : {});
}

// Heartbeats every 5 s, spread as they are in a fleet.
let next = 0;
setInterval(() => {
  const share = Math.ceil(sidecars.length / 50);
  for (let i = 0; i < share && sidecars.length > 0; i++) sidecars[next++ % sidecars.length]?.beat();
}, 100);

createInterface({ input: process.stdin }).on('line', (line) => void run(JSON.parse(line) as Command)).on('close', () => process.exit(0));
