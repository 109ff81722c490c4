import { ManualTimers } from '@remora/testing/manual-timers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadBalancingAuthoring } from '@remora/policy-load-balancing/compile';
import { GatewayRig, endpointAt, type RigOptions, section } from '../testdata/gateway-rig.ts';
import { WireEnd, WireUpstream, echoRequests } from '@remora/testing/wire-end';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function setUp(behave: (end: WireEnd, nth: number) => unknown, options: Partial<RigOptions> = {}): Promise<{ gateway: GatewayRig; up: WireUpstream; end: WireEnd }> {
  const up = await WireUpstream.start(behave);
  closers.push(() => up.close());
  const gateway = await GatewayRig.start({ upstreams: [up.port], ...options });
  closers.push(() => gateway.close());
  const end = await WireEnd.connect(gateway.port);
  closers.push(() => end.close());
  return { gateway, up, end };
}

const get = (target = '/'): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (body: string): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** The first connection misbehaves after its request, the others echo. */
function firstThenEcho(misbehave: (end: WireEnd) => unknown): (end: WireEnd, nth: number) => Promise<void> {
  return async (end, nth) => {
    if (nth > 1) return echoRequests(end);
    await end.message('request', 1);
    await misbehave(end);
  };
}

describe('an upstream that', () => {
  it.each<[string, (end: WireEnd) => unknown, number, string]>([
    ['resets before it answers', (end) => end.reset(), 502, 'upstream-reset'],
    ['ends before it answers', (end) => end.end(), 502, 'upstream-reset'],
    ['ends within its head', (end) => { end.send('HTTP/1.1 200 OK\r\nContent-'); end.end(); }, 502, 'upstream-reset'],
    ['speaks another protocol', (end) => end.send('220 mail.example ESMTP\r\n'), 502, 'upstream-protocol-error'],
    ['answers with two lengths', (end) => end.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'), 502, 'upstream-protocol-error'],
    ['answers with length and chunked', (end) => end.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'), 502, 'upstream-protocol-error'],
    ['answers with gzip, chunked', (end) => end.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'), 502, 'upstream-protocol-error'],
    ['splits its headers with bare LF', (end) => end.send('HTTP/1.1 200 OK\nContent-Length: 0\n\n'), 502, 'upstream-protocol-error'],
    ['floods interim responses', (end) => end.send('HTTP/1.1 102 Processing\r\n\r\n'.repeat(1000)), 502, 'upstream-protocol-error'],
    ['switches protocols unasked', (end) => end.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'), 502, 'upstream-protocol-error'],
    ['sends endless headers', (end) => end.send(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}`), 502, 'upstream-protocol-error'],
    ['sends one endless header', (end) => end.send(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`), 502, 'upstream-protocol-error'],
  ])('%s costs that request its answer, and nothing else', async (_, misbehave, status, reason) => {
    const { gateway, up, end } = await setUp(firstThenEcho(misbehave));
    end.send(post('x'));
    const answer = await end.message('response', 1);
    expect(answer?.head.status).toBe(status);
    expect(end.text).toContain(`x-remora-reason: ${reason}\r\n`);
    await (await up.connection(1)).untilClosed();
    end.send(get('/after'));
    expect((await end.message('response', 2))?.head.status).toBe(200);
    end.close();
    await gateway.untilNothingIsLeft();
    gateway.plane.readSeries();
    expect(gateway.refusals.map((refusal) => refusal.reason)).toEqual([reason]);
  });

  it.each<[string, string]>([
    ['within a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'],
    ['within chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    ['within a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf'],
  ])('breaks off %s is not taken for complete by the client', async (_, part) => {
    for (const breakOff of ['end', 'reset'] as const) {
      const { gateway, end } = await setUp(firstThenEcho(async (up) => {
        up.send(part);
        await new Promise(setImmediate);
        up[breakOff]();
      }));
      end.send(get());
      await end.untilClosed();
      expect(end.state).toBe('reset');
      expect(end.text).not.toContain('\r\n0\r\n\r\n');
      await gateway.untilNothingIsLeft();
    }
  });

  it('sends bad chunks breaks the answer off', async () => {
    const { end } = await setUp(firstThenEcho((up) => up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n')));
    end.send(get());
    await end.untilClosed();
    expect(end.state).toBe('reset');
  });

  it('sends more than its answer loses the connection; the answer stands, and nobody gets the rest', async () => {
    const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
    const { up, end } = await setUp(firstThenEcho((one) => one.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok${evil}`)));
    end.send(get());
    expect(Buffer.concat((await end.message('response', 1))?.body ?? []).toString()).toBe('ok');
    await (await up.connection(1)).untilClosed();
    end.send(get('/next'));
    await end.untilText('"target":"/next"');
    expect(end.text).not.toContain('evil');
  });

  it('talks on an idle connection loses it', async () => {
    const { up, end } = await setUp(firstThenEcho((one) => one.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')));
    end.send(get());
    await end.message('response', 1);
    (await up.connection(1)).send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
    await (await up.connection(1)).untilClosed();
    end.send(get('/next'));
    await end.untilText('"target":"/next"');
    expect(end.text).not.toContain('evil');
  });

  it('answers before the request body has ended gets no further request on that connection', async () => {
    const { gateway, up, end } = await setUp(async (one) => {
      await one.untilText('\r\n\r\n');
      one.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    });
    end.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\npart');
    await end.untilClosed();
    expect(end.text).toMatch(/^HTTP\/1\.1 413 /);
    expect(end.text).toContain('connection: close\r\n');
    await (await up.connection(1)).untilClosed();
    end.close();
    await gateway.untilNothingIsLeft();
  });

  it('closes after its answer as it says', async () => {
    const { up, end } = await setUp(async (one) => {
      await one.message('request', 1);
      one.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    });
    for (let nth = 1; nth <= 3; nth++) {
      end.send(get());
      await end.message('response', nth);
    }
    expect(up.connections).toHaveLength(3);
    expect(end.text).not.toContain('onnection: close');
  });
});

/** Time is the test's: however slow the machine is, what comes in time does, and a limit passes when the test says so. */
async function withTimers(behave: (end: WireEnd, nth: number) => unknown, options: Partial<RigOptions> = {}): Promise<{ timers: ManualTimers; gateway: GatewayRig; up: WireUpstream; end: WireEnd }> {
  const timers = new ManualTimers();
  return { timers, ...await setUp(behave, { ...options, timers }) };
}

describe('limits of a call', () => {
  it.each<[string, (end: WireEnd) => unknown]>([
    ['no answer in time', () => {}],
    ['a head that drips', (one) => one.send('HTTP/1.1 200 OK\r\nx: ')],
  ])('%s', async (_, behave) => {
    const { timers, gateway, up, end } = await withTimers(firstThenEcho(behave), { timeouts: { request: '5s' } });
    end.send(get());
    const call = await up.connection(1);
    await call.message('request', 1);
    await timers.advance(4900);
    expect([call.state, end.text]).toEqual(['open', '']);
    await timers.advance(200);
    expect((await end.message('response', 1))?.head.status).toBe(504);
    expect(end.text).toContain('x-remora-reason: upstream-timeout\r\n');
    await call.untilClosed();
    // The instance does not work on for nobody.
    expect(call.state).toBe('reset');
    end.send(get('/after'));
    await end.untilText('"target":"/after"');
    end.close();
    await gateway.untilNothingIsLeft();
  });

  it('what an attempt had left of the limit is said as that', async () => {
    const { timers, gateway, up, end } = await withTimers(() => {}, { timeouts: { request: '5s' }, retries: { retries: 1, retryOn: ['reset'], backoff: { base: '1ms', max: '1ms' } } });
    end.send(get());
    const first = await up.connection(1);
    await first.message('request', 1);
    await timers.advance(2000);
    first.reset();
    await vi.waitFor(async () => {
      await timers.advance(10);
      expect(up.connections).toHaveLength(2);
    });
    await (await up.connection(2)).message('request', 1);
    await timers.advance(5000);
    expect((await end.message('response', 1))?.head.status).toBe(504);
    gateway.plane.readSeries();
    expect(gateway.refusals).toMatchObject([{ reason: 'upstream-timeout', pointer: '/request', detail: expect.stringMatching(/^the [12]\d{3} ms that attempts before this one had left of the limit have passed$/) as unknown }]);
  });

  it('silence within the answer breaks it off; a slow stream lives on', async () => {
    const { timers, end, gateway, up } = await withTimers(firstThenEcho((one) => one.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')), { timeouts: { idle: '600ms' } });
    end.send(get());
    await end.untilText('\r\n\r\n');
    const call = await up.connection(1);
    // Twice as long as the limit in all, never so long between two.
    for (let nth = 1; nth <= 8; nth++) {
      await timers.advance(500);
      call.send('1\r\nx\r\n');
      await end.untilText('1\r\nx\r\n'.repeat(nth));
    }
    expect(end.state).toBe('open');
    await timers.advance(700);
    await end.untilClosed();
    expect(end.state).toBe('reset');
    await gateway.untilNothingIsLeft();
    gateway.plane.readSeries();
    expect(gateway.refusals.map((refusal) => refusal.reason)).toEqual(['stream-idle']);
  });

  it('the longest life of a stream ends it, however busy', async () => {
    const { timers, end, gateway, up } = await withTimers(firstThenEcho((one) => one.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')), { timeouts: { maxStream: '10s' } });
    end.send(get());
    await end.untilText('\r\n\r\n');
    const call = await up.connection(1);
    for (let nth = 1; nth <= 9; nth++) {
      await timers.advance(1000);
      call.send('1\r\nx\r\n');
      await end.untilText('1\r\nx\r\n'.repeat(nth));
    }
    expect(end.state).toBe('open');
    await timers.advance(1100);
    await end.untilClosed();
    expect(end.state).toBe('reset');
    gateway.plane.readSeries();
    expect(gateway.refusals.map((refusal) => refusal.reason)).toEqual(['max-stream-duration']);
  });

  it('a trusted caller\'s deadline shortens them', async () => {
    const { end } = await setUp(() => {}, { trustedProxies: ['127.0.0.1/32'] });
    end.send('GET / HTTP/1.1\r\nHost: a\r\nX-Remora-Deadline: 50\r\n\r\n');
    expect((await end.message('response', 1))?.head.status).toBe(504);
  });
});

describe('a caller\'s deadline', () => {
  // A response that streamed for longer than `timeout.request` of its caller was cut: x-remora-deadline is for the head, and was taken for the whole.
  it('is for the head: what streams behind it goes on', async () => {
    const { timers, end, up } = await withTimers(async (app) => {
      await app.message('request', 1);
      app.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
    }, { trustedProxies: ['127.0.0.1/32'] });
    end.send('GET / HTTP/1.1\r\nHost: a\r\nX-Remora-Deadline: 60\r\n\r\n');
    await end.untilText('hello');
    await timers.advance(250);
    (await up.connection(1)).send('world');
    await end.untilText('helloworld');
    expect(end.state).toBe('open');
  });
});

describe('instances', () => {
  it('that cannot be connected are 503 with the reason, and preferred no more', async () => {
    const dead = await WireUpstream.start(() => {});
    dead.close();
    const { gateway, end, up } = await setUp(echoRequests, { upstreams: [dead.port] });
    end.send(get());
    expect((await end.message('response', 1))?.head.status).toBe(503);
    expect(end.text).toContain('x-remora-reason: connect-failure\r\n');
    await gateway.setEndpoints([endpointAt(dead.port), endpointAt(up.port)]);
    for (let nth = 2; nth < 12; nth++) {
      end.send(get());
      expect((await end.message('response', nth))?.head.status).toBe(200);
    }
  });

  it('that are none are 503', async () => {
    const { end } = await setUp(echoRequests, { upstreams: [] });
    end.send(get());
    expect((await end.message('response', 1))?.head.status).toBe(503);
    expect(end.text).toContain('"reason":"no-healthy-upstream"');
  });

  it('take their share by weight, and the backup nothing while others are there', async () => {
    const counts = [0, 0, 0];
    const ups = await Promise.all(counts.map((_, i) => WireUpstream.start(async (one) => {
      for (let nth = 1; (await one.message('request', nth)) !== null; nth++) {
        counts[i] = (counts[i] ?? 0) + 1;
        one.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      }
    })));
    for (const up of ups) closers.push(() => up.close());
    const endpoints = ups.map(({ port }, i) => ({ ...endpointAt(port), weight: [3, 1, 5][i] ?? 1, backup: i === 2 }));
    // By latency too, one slow answer of this machine would count for more than weights.
    const { end, gateway } = await setUp(echoRequests, { endpoints, callers: [section(loadBalancingAuthoring, { algorithm: 'leastRequest' })] });
    for (let nth = 1; nth <= 200; nth++) {
      end.send(get());
      await end.message('response', nth);
    }
    expect(counts[2]).toBe(0);
    expect((counts[0] ?? 0) / (counts[1] ?? 1)).toBeGreaterThan(1.8);
    await gateway.setEndpoints(endpoints.slice(2));
    end.send(get());
    await end.message('response', 201);
    expect(counts[2]).toBe(1);
  });

  it('that leave the set lose their idle connections and finish their calls', async () => {
    let finish = (): void => {};
    const { gateway, up, end } = await setUp(async (one, nth) => {
      await one.message('request', 1);
      if (nth === 1) finish = () => one.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else one.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    end.send(get());
    await (await up.connection(1)).message('request', 1);
    const other = await WireEnd.connect(gateway.port);
    closers.push(() => other.close());
    other.send(get());
    await other.message('response', 1);
    await gateway.setEndpoints([]);
    await (await up.connection(2)).untilClosed();
    finish();
    expect((await end.message('response', 1))?.head.status).toBe(200);
    await (await up.connection(1)).untilClosed();
  });
});
