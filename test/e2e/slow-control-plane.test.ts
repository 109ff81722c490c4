import { afterEach, describe, expect, test } from 'vitest';
import { residentMiB } from '../processes/child.ts';
import { FaultProxy, type Fault } from '../processes/fault-proxy.ts';
import type { RunningSidecar } from '../processes/remora.ts';
import { ask, startTraffic, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, markPolicy, sidecarsOf, statusOf, twoServices, untilInSync } from './fixture.ts';

/** faults.md 1: whatever lies between sidecars and control plane, requests do not notice, and contact comes back by itself. */
describe('slow control plane', () => {
  let fixture = new Fixture();
  const proxies: FaultProxy[] = [];
  afterEach(async () => {
    await fixture.end();
    for (const proxy of proxies.splice(0)) await proxy.close();
    fixture = new Fixture();
  });

  async function startMesh() {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const proxy = await FaultProxy.start(Number(controlPlane.push.split(':')[1]));
    proxies.push(proxy);
    const app = await fixture.app('orders');
    const common = ['--control-plane', `127.0.0.1:${proxy.port}`, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'];
    const orders = await fixture.sidecar(['--service', 'orders', ...common]);
    const web = await fixture.sidecar(['--service', 'web', ...common]);
    await untilInSync(controlPlane.api, 2);
    const port = web.ports['outbound'] ?? 0;
    await until('the first answer', () => ask({ port, path: '/', host: 'orders' }), ({ status }) => status === 200);
    return { controlPlane, proxy, orders, web, port };
  }

  const contact = async (sidecar: RunningSidecar): Promise<boolean> => typeof (await statusOf(sidecar))['staleSince'] !== 'string';

  test('latency, black hole, a byte a second, flapping and resets: no request fails or slows down, contact returns', async () => {
    const { controlPlane, proxy, orders, web, port } = await startMesh();
    await controlPlane.apply(markPolicy(0), '?wait=applied&timeout=10s');
    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 4, pauseMs: 2 });
    await traffic.more(500);
    let mark = 0;
    for (const fault of ['latency', 'black-hole', 'drip', 'flapping', 'reset'] as const satisfies readonly Fault[]) {
      // Calm before and after each fault, so that other load of the machine weighs on both alike.
      const calm = await measured(traffic, 1_000);
      proxy.fault = fault;
      const asked = proxy.attempts.length;
      mark++;
      await controlPlane.apply(markPolicy(mark));
      // Other load of the machine comes and goes; what the fault does would be there each time.
      let disturbed = await measured(traffic, 1_000);
      for (let again = 0; again < 5 && p99(disturbed) > allowedMs(calm); again++) {
        const next = await measured(traffic, 1_000);
        if (p99(next) < p99(disturbed)) disturbed = next;
      }
      if (fault === 'reset' || fault === 'flapping') {
        await until('new connections are tried', () => proxy.attempts.length - asked, (count) => count >= 4, 20_000);
        if (fault === 'reset') expect(gaps(proxy.attempts.slice(asked))).toSatisfy((found: number[]) => new Set(found.map((ms) => Math.round(ms / 5))).size > 1);
      }
      // A message that takes minutes is none: the stream counts as dead after 15 s without a whole one.
      if (fault === 'drip') await until('the silence is noticed', () => contact(web), (inContact) => !inContact, 25_000);
      if (fault === 'latency') await until('the edit arrives all the same', () => traffic.answers.at(-1)?.headers['x-mark'], (value) => value === String(mark));
      proxy.fault = 'none';
      await until('everybody is back, and has the edit', async () => [await contact(orders), await contact(web), traffic.answers.at(-1)?.headers['x-mark']], ([one, other, value]) => one === true && other === true && value === String(mark), 45_000);
      const after = await measured(traffic, 1_000);
      process.stdout.write(`${fault}: p99 ${p99(calm).toFixed(1)} ms before, ${p99(disturbed).toFixed(1)} ms during, ${p99(after).toFixed(1)} ms after\n`);
      expect(p99(disturbed)).toBeLessThanOrEqual(Math.max(allowedMs(calm), allowedMs(after)));
    }
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
    await untilInSync(controlPlane.api, 2, 30_000);
  });

  test('one stuck sidecar among five delays nobody, and costs the control plane little', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    const start = (nodeId: string) => fixture.sidecar(['--service', 'orders', '--node-id', nodeId, '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--no-outbound']);
    const [stuck, ...others] = [await start('stuck'), await start('o1'), await start('o2'), await start('o3'), await start('o4')];
    await untilInSync(controlPlane.api, 5);
    const inbound = ({ ports }: RunningSidecar): number => ports['inbound'] ?? ports['inbound/http'] ?? 0;
    stuck.process.kill('SIGSTOP');
    try {
      const before = residentMiB(controlPlane.process.pid ?? 0);
      for (let mark = 1; mark <= 60; mark++) {
        const began = performance.now();
        // Large enough that sixty of them would be seen, if they were kept for the one that does not read.
        await controlPlane.apply(`${markPolicy(mark)}---\n${ballast(mark)}`);
        if (mark % 10 !== 0) continue;
        await until('the others enforce it', async () => (await Promise.all(others.map((other) => ask({ port: inbound(other), path: '/' })))).map(({ headers }) => headers['x-mark']), (marks) => marks.every((value) => value === String(mark)), 5_000);
        expect(performance.now() - began).toBeLessThan(2_500);
      }
      expect(residentMiB(controlPlane.process.pid ?? 0) - before).toBeLessThan(96);
      const phases = new Map((await sidecarsOf(controlPlane.api)).map(({ nodeId, phase }) => [nodeId, phase]));
      expect(phases.get('stuck')).not.toBe('in-sync');
    } finally {
      stuck.process.kill('SIGCONT');
    }
    await untilInSync(controlPlane.api, 5, 45_000);
    expect((await ask({ port: inbound(stuck), path: '/' })).headers['x-mark']).toBe('60');
  });
});

/** A route of about 60 KiB that nobody asks for, different each time. */
function ballast(mark: number): string {
  return `{kind: Route, name: ballast, service: orders, match: {path: {exact: /ballast}}, respond: {status: 200, body: "${mark} ${'b'.repeat(60_000)}"}}`;
}

async function measured(traffic: ReturnType<typeof startTraffic>, count: number): Promise<readonly Answer[]> {
  const from = traffic.answers.length;
  await traffic.more(count);
  return traffic.answers.slice(from);
}

function allowedMs(calm: readonly Answer[]): number {
  return p99(calm) * 1.1 + 2;
}

function p99(answers: readonly Answer[]): number {
  const sorted = answers.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}

function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((at, i) => at - (times[i] ?? 0));
}
