import { afterEach, describe, expect, it, vi } from 'vitest';
import { WireEnd, WireUpstream, echoRequests } from '@remora/testing/wire-end';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function setUp(options: Partial<RigOptions> = {}, behave: (end: WireEnd, nth: number) => unknown = echoRequests): Promise<{ gateway: GatewayRig; up: WireUpstream }> {
  const up = await WireUpstream.start(behave);
  closers.push(() => up.close());
  const gateway = await GatewayRig.start({ upstreams: [up.port], ...options });
  closers.push(() => gateway.close());
  return { gateway, up };
}

async function connect(port: number): Promise<WireEnd> {
  const end = await WireEnd.connect(port);
  closers.push(() => end.close());
  return end;
}

const get = (target = '/'): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('a client that', () => {
  it('drips its head is told so after the header timeout, however often it sends a byte', async () => {
    const { gateway } = await setUp({ limits: { headerTimeout: '200ms' } });
    const end = await connect(gateway.port);
    end.send('GET / HTTP/1.1\r\nHost: a\r\nx: ');
    const timer = setInterval(() => end.send('y'), 20);
    await end.untilClosed();
    clearInterval(timer);
    expect(end.text).toMatch(/^HTTP\/1\.1 408 /);
    expect(end.text).toContain('x-remora-reason: request-timeout\r\n');
    end.close();
    await gateway.untilNothingIsLeft();
  });

  it('says nothing is closed without a word', async () => {
    const { gateway } = await setUp({ limits: { headerTimeout: '600ms', idleTimeout: '600ms' } });
    const end = await connect(gateway.port);
    await end.untilClosed();
    expect(end.text).toBe('');
    const kept = await connect(gateway.port);
    kept.send(get());
    await kept.message('response', 1);
    await kept.untilClosed();
    expect(kept.state).toBe('end');
    kept.close();
    await gateway.untilNothingIsLeft();
  });

  it('stops within its body is told so after the body timeout, and the upstream call is broken off', async () => {
    const { gateway, up } = await setUp({ limits: { bodyTimeout: '400ms' } }, () => {});
    const end = await connect(gateway.port);
    end.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    await end.untilClosed();
    expect(end.text).toMatch(/^HTTP\/1\.1 408 /);
    await (await up.connection(1)).untilClosed();
    end.close();
    await gateway.untilNothingIsLeft();
  });

  it('does not read its answer for long loses the connection; the upstream is let go', async () => {
    const { gateway, up } = await setUp({ limits: { idleTimeout: '500ms' } }, async (one) => {
      await one.message('request', 1);
      one.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      const pump = (): void => {
        while (one.socket.write(chunk)) continue;
        one.socket.once('drain', pump);
      };
      pump();
    });
    const end = await connect(gateway.port);
    end.socket.pause();
    end.send(get());
    await (await up.connection(1)).untilClosed();
    end.close();
    await gateway.untilNothingIsLeft();
    gateway.plane.readSeries();
    expect(gateway.refusals.map(({ reason }) => reason)).toEqual(['downstream-reset']);
  });

  it.each(['head', 'body', 'waiting', 'answer'] as const)('resets in its %s leaves nothing behind', async (moment) => {
    const { gateway, up } = await setUp({}, async (one) => {
      await one.untilText('\r\n\r\n');
      if (moment === 'answer') one.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart');
    });
    const end = await connect(gateway.port);
    end.send(moment === 'head' ? 'GET / HT' : moment === 'body' ? 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc' : get());
    if (moment === 'answer') await end.untilText('part');
    else if (moment !== 'head') await (await up.connection(1)).untilText('\r\n\r\n');
    end.reset();
    await gateway.untilNothingIsLeft();
    if (moment !== 'head') await (await up.connection(1)).untilClosed();
    if (moment === 'head') return;
    gateway.plane.readSeries();
    expect(gateway.refusals.map(({ reason }) => reason)).toEqual(['downstream-reset']);
  });

  it('opens more connections than allowed is refused at the door; others go on', async () => {
    const { gateway } = await setUp({ limits: { connections: 2 } });
    const ends = [await connect(gateway.port), await connect(gateway.port)];
    for (const end of ends) {
      end.send(get());
      await end.message('response', 1);
    }
    const third = await connect(gateway.port);
    await third.untilClosed();
    expect(third.text).toBe('');
    ends[0]?.send(get());
    expect(await ends[0]?.message('response', 2)).not.toBeNull();
    ends[1]?.close();
    await vi.waitFor(async () => {
      const again = await connect(gateway.port);
      again.send(get());
      expect(await again.message('response', 1)).not.toBeNull();
    });
  });

  it('sends more requests than a connection may have is told that the last is the last', async () => {
    const { gateway } = await setUp({ limits: { requestsPerConnection: 3 } });
    const end = await connect(gateway.port);
    end.send(get().repeat(5));
    await end.untilClosed();
    expect(end.text.match(/HTTP\/1\.1 200/g)).toHaveLength(3);
    expect(end.text.match(/connection: close/g)).toHaveLength(1);
  });

  it('sends 10,000 requests at once is served them in order, at its own pace', async () => {
    const { gateway, up } = await setUp({}, async (one) => {
      one.socket.removeAllListeners('data');
      let text = '';
      one.socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
          const target = text.slice(4, text.indexOf(' HTTP'));
          one.send(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`);
          text = text.slice(end + 4);
        }
      });
    });
    const end = await connect(gateway.port);
    // Answers come one by one: what looks at all of them for each takes longer than the gateway.
    const chunks: Buffer[] = [];
    let tail = '';
    end.socket.removeAllListeners('data');
    const done = new Promise<void>((resolve) => {
      end.socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        tail = (tail + chunk.toString('latin1')).slice(-9);
        if (tail === '\r\n\r\n/9999') resolve();
      });
    });
    end.send(Array.from({ length: 10_000 }, (_, i) => get(`/${i}`)).join(''));
    await done;
    const targets = [...Buffer.concat(chunks).toString('latin1').matchAll(/\r\n\r\n\/(\d+)/g)].map((match) => Number(match[1]));
    expect(targets).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
    expect(up.connections).toHaveLength(1);
    // 10,000 answers one behind the other take a second of a core; on a busy machine a good deal longer.
  }, 60_000);

  it('sends its body in one-byte chunks is served', async () => {
    const { gateway } = await setUp();
    const end = await connect(gateway.port);
    end.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    end.send('1\r\nx\r\n'.repeat(2000));
    end.send('0\r\n\r\n');
    await end.message('response', 1);
    expect(end.text).toContain(`"body":"${'x'.repeat(2000)}"`);
  });

  it('sends a longer body than allowed is refused: at once by its length, or when it has come', async () => {
    const { gateway, up } = await setUp({ limits: { bodyBytes: '100B' } });
    const told = await connect(gateway.port);
    told.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n');
    await told.untilClosed();
    expect(told.text).toMatch(/^HTTP\/1\.1 413 /);
    expect(up.connections).toHaveLength(0);
    const chunked = await connect(gateway.port);
    chunked.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n${'x'.repeat(50)}\r\n33\r\n${'x'.repeat(51)}\r\n0\r\n\r\n`);
    await chunked.untilClosed();
    expect(chunked.text).toMatch(/^HTTP\/1\.1 413 /);
    expect(chunked.text).toContain('x-remora-reason: body-too-large\r\n');
    chunked.close();
    told.close();
    await gateway.untilNothingIsLeft();
    const fine = await connect(gateway.port);
    fine.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n${'x'.repeat(50)}\r\n0\r\n\r\n`);
    await fine.untilText(`"body":"${'x'.repeat(50)}"`);
  });
});

describe('draining', () => {
  it('answers what was on its way on idle connections, and tells it to go', async () => {
    const { gateway } = await setUp();
    const end = await connect(gateway.port);
    end.send(get('/1'));
    await end.message('response', 1);
    const drained = gateway.plane.drain(10_000);
    end.send(get('/2'));
    expect((await end.message('response', 2))?.head.status).toBe(200);
    expect(end.text.slice(end.text.lastIndexOf('HTTP/1.1'))).toContain('connection: close\r\n');
    await end.untilClosed();
    end.close();
    expect(await drained).toEqual({ cut: 0 });
  });

  it('finishes what runs, tells clients to go, and takes nobody new', async () => {
    let finish = (): void => {};
    const { gateway } = await setUp({}, async (one) => {
      await one.message('request', 1);
      finish = () => one.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    const busy = await connect(gateway.port);
    const idle = await connect(gateway.port);
    busy.send(get());
    await vi.waitUntil(async () => (await gateway.leftovers()).active === 1);
    const drained = gateway.plane.drain(10_000);
    await idle.untilClosed();
    await expect(connect(gateway.port)).rejects.toThrow(/ECONNREFUSED/);
    idle.close();
    finish();
    expect((await busy.message('response', 1))?.head.status).toBe(200);
    expect(busy.text).toContain('connection: close\r\n');
    busy.close();
    expect(await drained).toEqual({ cut: 0 });
  });

  it('cuts what is left at the deadline and says how much', async () => {
    const { gateway } = await setUp({}, () => {});
    const busy = await connect(gateway.port);
    busy.send(get());
    await vi.waitUntil(async () => (await gateway.leftovers()).active === 1);
    expect(await gateway.plane.drain(50)).toEqual({ cut: 1 });
    await busy.untilClosed();
  });
});
