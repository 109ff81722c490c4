import type { JsonObject } from '@remora/core/canonical-json';
import { MessageEncoder } from '@remora/control-plane/compile/message-encoder';
import { TestSidecar } from '@remora/control-plane/push/testdata/test-sidecar';
import { ControlMessage, PushService, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { Agent, request } from 'undici';
import { stop } from '../processes/child.ts';
import { startControlPlane, type RunningControlPlane } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import type { BenchRow } from './bench-document.ts';
import { openGrpcStream, type GrpcStream } from './grpc-stream.ts';

export interface WriteToPush {
  readonly edits: number;
  /** The document that an edit writes. */
  readonly documentOf: (edit: number) => JsonObject;
  /** Service whose sidecar gets it. */
  readonly service: string;
  readonly bundled: boolean;
}

/** Edits before the measured ones. */
const warmUp = 10;

/**
 * A whole control plane in its process (SQLite, API, gRPC), one sidecar's stream here: from sending a write of one policy
 * until the message with its consequence is read from that stream. HTTP both ways and the flush to the disk are in it.
 */
export async function timeWriteToPush(documents: readonly JsonObject[], { edits, documentOf, service, bundled }: WriteToPush): Promise<BenchRow[]> {
  const controlPlane = await startControlPlane({ core: 0, bundled });
  const agent = new Agent();
  const sidecar = connect(controlPlane.push, service);
  try {
    await apply(controlPlane, agent, documents);
    await until(`the sidecar of ${service} has its snapshot`, () => sidecar.core.config !== null, Boolean, 60_000);
    const times: number[] = [];
    for (let edit = 1; edit <= warmUp + edits; edit++) {
      const pushed = sidecar.next();
      const began = performance.now();
      const answered = apply(controlPlane, agent, documentOf(edit));
      const took = await pushed - began;
      if (edit > warmUp) times.push(took);
      await answered;
    }
    times.sort((a, b) => a - b);
    const [p50 = 0, p99 = 0] = [0.5, 0.99].map((q) => times[Math.min(times.length - 1, Math.ceil(q * times.length) - 1)] ?? 0);
    const what = `one edit of one policy among ${documents.length.toLocaleString('en')} documents: write sent → message read from the sidecar's stream`;
    return [{ what: `${what}, p50 of ${edits}`, value: round(p50), unit: 'ms', bar: '', ok: null }, { what: `${what}, p99`, value: round(p99), unit: 'ms', bar: '≤ 20 ms', ok: p99 <= 20 }];
  } finally {
    sidecar.close();
    await agent.destroy();
    await stop(controlPlane.process);
  }
}

interface Sidecar {
  readonly core: TestSidecar;
  /** When the next update of the config lane is read. */
  next(): Promise<number>;
  close(): void;
}

function connect(address: string, service: string): Sidecar {
  const core = new TestSidecar({ nodeId: `${service}-1`, subject: { kind: 'service', name: service } });
  const encoder = new MessageEncoder();
  let waiting: ((at: number) => void) | null = null;
  let stream: GrpcStream | null = null;
  let closed = false;
  const open = (): void => {
    // Turned away until there is such a service: tried again, as a sidecar does.
    const opened = openGrpcStream({
      address, path: PushService.sync.path, ended: () => void (closed || setTimeout(open, 50)),
      message: (bytes) => {
        const at = performance.now();
        const message = ControlMessage.decode(bytes);
        core.receive(message);
        if (message.body?.$case === 'update' || message.body?.$case === 'commit') waiting?.(at);
      },
    });
    stream = opened;
    core.open((message) => opened.send(encoder.encode(SidecarMessage, message)));
  };
  open();
  return {
    core,
    next: () => new Promise((resolve) => { waiting = resolve; }),
    close: () => {
      closed = true;
      stream?.close();
    },
  };
}

async function apply(controlPlane: RunningControlPlane, agent: Agent, documents: JsonObject | readonly JsonObject[]): Promise<void> {
  const { statusCode, body } = await request(`${controlPlane.api}/v1/apply`, { method: 'POST', dispatcher: agent, headers: { 'content-type': 'application/json' }, body: JSON.stringify(documents) });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`apply answered ${statusCode}: ${text.slice(0, 500)}`);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
