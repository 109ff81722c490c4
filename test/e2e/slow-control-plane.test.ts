import { afterEach, describe, expect, test } from 'vitest';
import { residentMiB } from '../processes/child.ts';
import { FaultProxy, type Fault } from '../processes/fault-proxy.ts';
import type { RunningSidecar } from '../processes/remora.ts';
import { ask, startTraffic, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { InStep } from './in-step.ts';
import { Fixture, markPolicy, sidecarsOf, statusOf, twoServices, untilInSync } from './fixture.ts';

/** For what comes when it comes: how long a machine takes is not what is tested. */
const patienceMs = 50_000;

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
    return { controlPlane, proxy, orders, web, app, port };
  }

  const contact = async (sidecar: RunningSidecar): Promise<boolean> => typeof (await statusOf(sidecar))['staleSince'] !== 'string';

  test('latency, black hole, a byte a second, flapping and resets: no request fails or waits, contact returns', async () => {
    const { controlPlane, proxy, orders, web, app, port } = await startMesh();
    await controlPlane.apply(markPolicy(0), '?wait=applied&timeout=60s');
    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 4, pauseMs: 2 });
    // The same app without anything before it: no fault of the control plane can touch these, the load of the machine does.
    const pace = startTraffic({ port: app.port, path: '/', concurrency: 4, pauseMs: 2 });
    const inStep = new InStep(pace);
    await traffic.more(500);
    let mark = 0;
    for (const fault of ['latency', 'black-hole', 'drip', 'flapping', 'reset'] as const satisfies readonly Fault[]) {
      const calm = inStep.overtakings(await measured(traffic, 1_000));
      proxy.fault = fault;
      const asked = proxy.attempts.length;
      mark++;
      await controlPlane.apply(markPolicy(mark));
      const disturbed = inStep.overtakings(await measured(traffic, 1_000));
      if (fault === 'reset' || fault === 'flapping') {
        await until('new connections are tried', () => proxy.attempts.length - asked, (count) => count >= 4, patienceMs);
        if (fault === 'reset') expect(gaps(proxy.attempts.slice(asked))).toSatisfy((found: number[]) => new Set(found.map((ms) => Math.round(ms / 5))).size > 1);
      }
      // A message that takes minutes is none: the stream counts as dead after 15 s without a whole one.
      if (fault === 'drip') await until('the silence is noticed', () => contact(web), (inContact) => !inContact, patienceMs);
      if (fault === 'latency') await until('the edit arrives all the same', () => traffic.answers.at(-1)?.headers['x-mark'], (value) => value === String(mark), patienceMs);
      proxy.fault = 'none';
      await until('everybody is back, and has the edit', async () => [await contact(orders), await contact(web), traffic.answers.at(-1)?.headers['x-mark']], ([one, other, value]) => one === true && other === true && value === String(mark), patienceMs);
      process.stdout.write(`${fault}: overtaken at p99 by ${at99(calm)} in calm, ${at99(disturbed)} during, at most ${disturbed.at(-1)}\n`);
      // Who waits for a control plane that has a fault is overtaken by hundreds.
      expect(at99(disturbed)).toBeLessThanOrEqual(at99(calm) * 3 + 30);
    }
    await pace.stop();
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
    await untilInSync(controlPlane.api, 2, patienceMs);
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
    const stoppedAt = performance.now();
    try {
      const before = residentMiB(controlPlane.process.pid ?? 0);
      for (let mark = 1; mark <= 60; mark++) {
        // Large enough that sixty of them would be seen, if they were kept for the one that does not read.
        await controlPlane.apply(`${markPolicy(mark)}---\n${ballast(mark)}`);
        if (mark % 10 !== 0) continue;
        await until('the others enforce it', async () => (await Promise.all(others.map((other) => ask({ port: inbound(other), path: '/' })))).map(({ headers }) => headers['x-mark']), (marks) => marks.every((value) => value === String(mark)), patienceMs);
        if (mark !== 10) continue;
        const connected = (await sidecarsOf(controlPlane.api)).filter((one) => one.connected).length;
        // All of them, before the stuck one is cut off for a silence of 15 s: nobody waited for that. A machine that takes longer cannot tell.
        if (performance.now() - stoppedAt < 12_000) expect(connected).toBe(5);
      }
      expect(residentMiB(controlPlane.process.pid ?? 0) - before).toBeLessThan(96);
      const phases = new Map((await sidecarsOf(controlPlane.api)).map(({ nodeId, phase }) => [nodeId, phase]));
      expect(phases.get('stuck')).not.toBe('in-sync');
    } finally {
      stuck.process.kill('SIGCONT');
    }
    await untilInSync(controlPlane.api, 5, patienceMs);
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

function at99(ascending: readonly number[]): number {
  return ascending[Math.floor(ascending.length * 0.99)] ?? 0;
}

function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((at, i) => at - (times[i] ?? 0));
}
