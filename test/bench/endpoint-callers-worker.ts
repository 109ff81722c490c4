/**
 * The callers of `bench endpoints`, and the instance that comes and goes, in a process of their own: real gRPC streams. Started with the address of the control plane,
 * the number of callers and of changes; prints `ready` when all are connected, and one line of JSON at the end.
 */
import { MessageEncoder } from '@remora/control-plane/compile/message-encoder';
import { TestSidecar } from '@remora/control-plane/push/testdata/test-sidecar';
import { seededRandom } from '@remora/core/random';
import { ControlMessage, PushService, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { openGrpcStream } from './grpc-stream.ts';

const [address = '', callersText = '', changesText = ''] = process.argv.slice(2);
const [callers, changes] = [Number(callersText), Number(changesText)];
const encoder = new MessageEncoder();
const all: TestSidecar[] = [];
/** When each caller confirmed what it was sent last; the instances it has now. */
let changedAt = 0;
let expected = 0;
let missing = new Set<TestSidecar>();
let done: () => void = () => {};
const tookMs: number[] = [];

/** `acked` is told of each confirmation in the state lane. */
function open(sidecar: TestSidecar, acked: () => void): Promise<void> {
  return new Promise((resolve) => {
    const lanes = new Set<number>();
    const stream = openGrpcStream({
      address, path: PushService.sync.path, message: (bytes) => { sidecar.receive(ControlMessage.decode(bytes)); sidecar.states.length = 0; sidecar.log.length = 0; },
      ended: () => { throw new Error('a stream ended: this machine is too busy for figures'); },
    });
    sidecar.open((message) => {
      stream.send(encoder.encode(SidecarMessage, message));
      if (message.body?.$case !== 'ack') return;
      lanes.add(message.body.value.lane);
      if (lanes.size === 2) resolve();
      acked();
    });
    all.push(sidecar);
  });
}

function confirmed(caller: TestSidecar): void {
  if (!missing.has(caller) || (caller.endpoints.get('hot')?.length ?? 0) !== expected) return;
  missing.delete(caller);
  tookMs.push(performance.now() - changedAt);
  if (missing.size === 0) done();
}

const instances = [1, 2, 3].map((n) => new TestSidecar({ nodeId: `hot-${n}`, subject: { kind: 'service', name: 'hot' } }));
const asking = Array.from({ length: callers }, (_, i) => new TestSidecar({ nodeId: `caller-${i}`, subject: { kind: 'service', name: `c${i % 100}` } }));
const ready: Promise<void>[] = instances.map((one) => open(one, () => {}));
for (const [i, caller] of asking.entries()) {
  ready.push(open(caller, () => confirmed(caller)));
  if (i % 50 === 49) await new Promise<void>((resolve) => { setImmediate(resolve); });
}
await Promise.all(ready);
setInterval(() => { for (const sidecar of all) sidecar.heartbeat(); }, 5_000).unref();
const flapping = instances[0] as TestSidecar;
const random = seededRandom(7);

async function change(count: number, run: () => void): Promise<void> {
  expected = count;
  missing = new Set(asking.filter((caller) => (caller.endpoints.get('hot')?.length ?? 0) !== count));
  const finished = new Promise<void>((resolve) => { done = resolve; });
  changedAt = performance.now();
  run();
  if (missing.size > 0) await finished;
}

await change(3, () => {});
tookMs.length = 0;
process.stdout.write('ready\n');
const cpuBefore = process.cpuUsage();
const lastMs: number[] = [];
for (let n = 0; n < changes; n++) {
  flapping.appReady = !flapping.appReady;
  await change(flapping.appReady ? 3 : 2, () => flapping.heartbeat());
  lastMs.push(performance.now() - changedAt);
  // From "at once" to "in the middle of the window of the change before".
  await new Promise((resolve) => { setTimeout(resolve, random.next() * 200); });
}
const { user, system } = process.cpuUsage(cpuBefore);
process.stdout.write(`${JSON.stringify({ callersUs: user + system, tookMs, lastMs, violations: all.flatMap(({ violations }) => violations).slice(0, 5) })}\n`, () => process.exit(0));
