import { afterEach, describe, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import { ask, startTraffic } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, markPolicy, statusOf, twoServices, untilInSync } from './fixture.ts';

/** For what comes when it comes: how long a machine takes is not what is tested. */
const patienceMs = 50_000;

/** faults.md 1 to 3: whatever happens to the control plane, requests go on, and every answer belongs to one version. */
describe('control plane faults', () => {
  let fixture = new Fixture();
  afterEach(async () => {
    await fixture.end();
    fixture = new Fixture();
  });

  async function startMesh() {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    const orders = await fixture.sidecar(['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0']);
    const web = await fixture.sidecar(['--service', 'web', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0']);
    await untilInSync(controlPlane.api, 2);
    const port = web.ports['outbound'] ?? 0;
    await until('the first answer', () => ask({ port, path: '/', host: 'orders' }), ({ status }) => status === 200);
    return { controlPlane, app, orders, web, port };
  }

  test('killed, requests go on, and a return brings everybody back in sync', async () => {
    const { controlPlane, port, orders } = await startMesh();
    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 4, pauseMs: 2 });
    await traffic.more(100);
    await stop(controlPlane.process);
    await traffic.more(300);
    await until('the sidecar says since when it is stale', () => statusOf(orders), (status) => typeof status['staleSince'] === 'string');
    const again = await fixture.controlPlane({ folder: controlPlane.folder, pushPort: Number(controlPlane.push.split(':')[1]) });
    await untilInSync(again.api, 2, patienceMs);
    await traffic.more(100);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  });

  test('stopped without a word, requests go on and the hang is noticed by its silence', async () => {
    const { controlPlane, port, web } = await startMesh();
    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 4, pauseMs: 5 });
    controlPlane.process.kill('SIGSTOP');
    try {
      await until('the hang is noticed', () => statusOf(web), (status) => typeof status['staleSince'] === 'string', patienceMs);
      // Its process is stopped, not ended: to the system the connection stands as before.
      expect((await statusOf(web))['controlPlane']).toMatchObject({ connected: false });
    } finally {
      controlPlane.process.kill('SIGCONT');
    }
    await untilInSync(controlPlane.api, 2, patienceMs);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  });

  test('a sidecar that restarts while the control plane is down serves from its disk', async () => {
    const { controlPlane, app, port, orders } = await startMesh();
    await controlPlane.apply(markPolicy(7), '?wait=applied&timeout=60s');
    await stop(controlPlane.process);
    await stop(orders.process);
    const again = await fixture.sidecar(
      ['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', String(orders.ports['inbound'] ?? orders.ports['inbound/http']), '--outbound', '0'],
      { folder: orders.folder });
    const answer = await until('an answer after the restart', () => ask({ port, path: '/', host: 'orders' }), ({ status }) => status === 200);
    expect(answer.headers['x-mark']).toBe('7');
    // Nobody else could have told it: the control plane is gone for good.
    expect(await statusOf(again)).toMatchObject({ staleSince: expect.any(String) as unknown, config: { from: 'disk' } });
  });

  test('pushes under load: every answer belongs to one version, and versions never go back', async () => {
    const { controlPlane, port } = await startMesh();
    const pushes = Number(process.env['REMORA_PUSHES'] ?? 200);
    await controlPlane.apply(markPolicy(0), '?wait=applied&timeout=60s');
    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 8 });
    for (let mark = 1; mark <= pushes; mark++) await controlPlane.apply(markPolicy(mark));
    await until('the last mark', () => traffic.answers.at(-1)?.headers['x-mark'], (mark) => mark === String(pushes));
    const answers = await traffic.stop();
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(answers.filter(({ headers }) => headers['x-mark'] !== headers['x-mark-again'])).toEqual([]);
    for (let lane = 0; lane < 8; lane++) {
      const marks = answers.filter((answer) => answer.lane === lane).map(({ headers }) => Number(headers['x-mark']));
      expect(marks).toEqual([...marks].sort((a, b) => a - b));
    }
  });

  test('a refused write leaves what was there, and the old content is accepted again', async () => {
    const { controlPlane, port } = await startMesh();
    await controlPlane.apply(markPolicy(1), '?wait=applied&timeout=60s');
    await expect(controlPlane.apply('kind: Policy\nname: mark\ntarget: {service: orders}\ntimeout: {requst: 5s}\n')).rejects.toThrow(/422|400/);
    expect((await ask({ port, path: '/', host: 'orders' })).headers['x-mark']).toBe('1');
    await controlPlane.apply(markPolicy(2), '?wait=applied&timeout=60s');
    await controlPlane.apply(markPolicy(1), '?wait=applied&timeout=60s');
    expect((await ask({ port, path: '/', host: 'orders' })).headers['x-mark']).toBe('1');
  });
});
