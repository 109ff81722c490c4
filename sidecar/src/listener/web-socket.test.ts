import { afterEach, describe, expect, it, vi } from 'vitest';
import fc from 'fast-check';
import type { WireEnd } from '@remora/testing/wire-end';
import { webSocketAccept } from '../io/web-socket-key.ts';
import { defaultPoolLimits } from '../upstream/pool-limits.ts';
import { TunnelEnds, frame, switches, switchingAnswer, tunnelsOf, untilTunnels, upgradeRequest, webSocketKey } from '../testdata/tunnel-ends.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());

const get = (target = '/', extra = ''): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n${extra}\r\n`;
const ok = (body: string, extra = ''): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${extra}\r\n${body}`;

describe('a request to switch', () => {
  it('asks the upstream for the same, and its 101 comes back with what belongs to it', async () => {
    const { rig, up } = await ends.rig(switches);
    const end = await ends.client(rig.port);
    end.send(upgradeRequest('X-Mine: 1\r\nSec-WebSocket-Protocol: chat\r\n'));
    await end.untilText('\r\n\r\n');
    const { text } = await up.connection(1);
    expect(text).toMatch(/^GET \/chat HTTP\/1\.1\r\n/);
    expect(text.match(/^connection: .*$/gim)).toEqual(['connection: Upgrade']);
    expect(text.match(/^upgrade: .*$/gim)).toEqual(['upgrade: websocket']);
    expect(text).toContain(`Sec-WebSocket-Key: ${webSocketKey}\r\n`);
    expect(text).toContain('Sec-WebSocket-Protocol: chat\r\n');
    expect(text).toContain('x-forwarded-for: 127.0.0.1\r\n');
    expect(end.text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(end.text.match(/^upgrade: .*$/gim)).toEqual(['upgrade: websocket']);
    expect(end.text).toContain(`Sec-WebSocket-Accept: ${webSocketAccept(webSocketKey)}\r\n`);
    expect(end.text).not.toMatch(/content-length|transfer-encoding/i);
  });

  it('that came with bytes behind it: they are held, and reach the upstream only behind its 101', async () => {
    const { rig, up } = await ends.rig(() => {});
    const end = await ends.client(rig.port);
    end.send(upgradeRequest() + 'early');
    const app = await up.connection(1);
    await app.untilText('\r\n\r\n');
    expect(app.text.endsWith('\r\n\r\n')).toBe(true);
    end.send(' bird');
    app.send(`${switchingAnswer()}hello`);
    await app.untilText('early bird');
    await end.until(() => end.text.endsWith('\r\n\r\nhello'));
  });

  it('that is refused ends the connection: what came early is never read as a request, here or there', async () => {
    const { rig, up } = await ends.rig(async (end) => {
      for (let nth = 1; end.state === 'open'; nth++) {
        await end.until(() => end.text.split('\r\n\r\n').length > nth || end.state !== 'open');
        end.send(ok('no'));
      }
    });
    for (const smuggled of [get('/smuggled'), '']) {
      const end = await ends.client(rig.port);
      end.send(upgradeRequest() + smuggled);
      await end.untilText('no');
      end.send(get('/smuggled'));
      await end.untilClosed();
      expect(end.text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
      expect(end.text).toMatch(/connection: close/);
    }
    expect(up.connections.map(({ text }) => text).join('')).not.toContain('smuggled');
  });

  it('with a body, over HTTP/1.0, without Connection, or for what carries HTTP again is an ordinary request', async () => {
    const { rig, up } = await ends.rig(async (end) => {
      for (let nth = 1; (await end.message('request', nth)) !== null; nth++) end.send(ok('plain'));
    });
    const asks = [
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi',
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      get('/', 'Upgrade: websocket\r\n'),
      get('/', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'),
      get('/', 'Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0\r\n'),
      get('/', 'Connection: Upgrade\r\nUpgrade: a b\r\n'),
    ];
    const end = await ends.client(rig.port);
    for (const [i, ask] of asks.entries()) {
      end.send(ask);
      expect((await end.message('response', i + 1))?.head.status).toBe(200);
    }
    const old = await ends.client(rig.port);
    old.send('GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await old.untilText('plain');
    expect(up.connections.map(({ text }) => text).join('')).not.toMatch(/^(?:upgrade|connection|http2-settings):/im);
  });

  it('for another protocol, or for several, is passed on; the upstream chooses', async () => {
    const { rig, up } = await ends.rig(async (end) => {
      await end.untilText('\r\n\r\n');
      end.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\nwelcome');
    });
    const end = await ends.client(rig.port);
    end.send('POST /containers/1/attach HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp, h2c, SPDY/3.1\r\nContent-Length: 0\r\n\r\n');
    await end.untilText('welcome');
    expect((await up.connection(1)).text).toContain('upgrade: tcp, SPDY/3.1\r\n');
    expect(end.text).toMatch(/^HTTP\/1\.1 101 [\s\S]*\r\nupgrade: tcp\r\n/);
  });
});

describe('a 101', () => {
  it.each([
    ['to a request that did not ask', get(), switchingAnswer()],
    ['for another protocol than asked for', upgradeRequest(), switchingAnswer('', 'tcp')],
    ['without Upgrade', upgradeRequest(), 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
    ['without Connection', upgradeRequest(), 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'],
    ['of HTTP/1.0', upgradeRequest(), switchingAnswer().replace('HTTP/1.1', 'HTTP/1.0')],
    ['for another key', upgradeRequest(), switchingAnswer().replace('Accept: ', 'Accept: x')],
    ['for no key', upgradeRequest(), switchingAnswer().replace(/Sec-WebSocket-Accept: .*\r\n/, '')],
  ])('%s switches nothing: 502, and the connection to the upstream is closed', async (_what, ask, answer) => {
    const { rig, up } = await ends.rig(async (end) => {
      await end.untilText('\r\n\r\n');
      end.send(`${answer}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad`);
    });
    const end = await ends.client(rig.port);
    end.send(ask);
    const response = await end.message('response', 1);
    expect(response?.head.status).toBe(502);
    expect(end.text).toContain('upstream-protocol-error');
    expect(end.text).not.toContain('HTTP/1.1 101');
    await (await up.connection(1)).untilClosed();
  });
});

describe('a tunnel', () => {
  it('carries bytes as they are, in both directions at once, however they are cut', async () => {
    const { rig, up } = await ends.rig(switches);
    const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 12 });
    await fc.assert(fc.asyncProperty(fc.integer(), sizes, sizes, async (seed, there, back) => {
      const { end, app } = await ends.open(rig, up);
      const [sent, answered] = [bytesOf(seed, there), bytesOf(seed + 1, back)];
      for (let i = 0; i < Math.max(there.length, back.length); i++) {
        if (sent[i] !== undefined) end.send(sent[i] as Uint8Array);
        if (answered[i] !== undefined) app.send(answered[i] as Uint8Array);
        if (i % 3 === 0) await new Promise(setImmediate);
      }
      end.end();
      app.end();
      await Promise.all([app.untilClosed(), end.untilClosed()]);
      expect(app.received.equals(Buffer.concat(sent))).toBe(true);
      expect(end.received.equals(Buffer.concat(answered))).toBe(true);
    }), { numRuns: 25 });
    await untilTunnels(rig, 0);
    expect(rig.refusals).toEqual([]);
  });

  it('ends each direction on its own', async () => {
    const { rig, up } = await ends.rig(switches);
    const first = await ends.open(rig, up);
    first.end.send('last words');
    first.end.end();
    await first.app.until(() => first.app.state === 'end');
    expect(first.app.text).toBe('last words');
    first.app.send('still here');
    await first.end.untilText('still here');
    expect(first.end.state).toBe('open');
    first.app.end();
    await first.end.until(() => first.end.state === 'end');
    const second = await ends.open(rig, up);
    second.app.end();
    await second.end.until(() => second.end.state === 'end');
    second.end.send('I go on');
    await second.app.untilText('I go on');
    second.end.end();
    await untilTunnels(rig, 0);
    await rig.untilNothingIsLeft();
  });

  it('passes a reset on, from either side', async () => {
    const { rig, up } = await ends.rig(switches);
    const first = await ends.open(rig, up);
    first.end.reset();
    await first.app.until(() => first.app.state === 'reset');
    const second = await ends.open(rig, up);
    second.app.reset();
    await second.end.until(() => second.end.state === 'reset');
    const third = await ends.open(rig, up);
    third.end.end();
    await third.app.until(() => third.app.state === 'end');
    third.end.reset();
    await third.app.until(() => third.app.state !== 'open');
    third.app.send('x');
    await rig.untilNothingIsLeft();
    await vi.waitFor(() => expect(rig.refusals.map(({ reason }) => reason)).toEqual(['downstream-reset', 'upstream-reset', 'downstream-reset']));
  });

  it('holds back who sends while the other does not read, in bounded memory, and loses nothing', async () => {
    const { rig, up } = await ends.rig(switches);
    const { end, app } = await ends.open(rig, up);
    for (const [from, to] of [[end, app], [app, end]] as const) {
      to.socket.pause();
      const chunk = Buffer.alloc(256 * 1024, 1);
      let sent = 0;
      while (from.socket.writableLength === 0 || !(await stalls(from.socket))) {
        from.socket.write(chunk);
        sent += chunk.length;
        expect(sent).toBeLessThan(64 * 1024 * 1024);
      }
      const before = to.received.length;
      to.socket.resume();
      await to.until(() => to.received.length - before >= sent);
      expect(to.received.length - before).toBe(sent);
    }
  });

  it('counts bytes as they pass, and messages by their frames', async () => {
    const { rig, up } = await ends.rig(switches);
    const { end, app } = await ends.open(rig, up);
    const big = Buffer.alloc(70_000, 7);
    const there = Buffer.concat([frame(1, Buffer.from('one'), { mask: true }), frame(9, Buffer.from('ping'), { mask: true }), frame(2, big, { fin: false, mask: true }), frame(0, Buffer.alloc(200), { mask: true })]);
    const back = Buffer.concat([frame(10, Buffer.from('ping')), frame(1, Buffer.alloc(0)), frame(2, big)]);
    for (let at = 0; at < there.length; at += 1000) end.send(there.subarray(at, at + 1000));
    app.send(back);
    await app.until(() => app.received.length === there.length);
    await end.until(() => end.received.length === back.length);
    const [view] = (await tunnelsOf(rig)).oldest;
    expect(view).toMatchObject({ protocol: 'websocket', destination: 'app', bytesIn: there.length, bytesOut: back.length, messagesIn: 2, messagesOut: 2 });
    const [series] = rig.plane.readSeries();
    expect(series).toMatchObject({ requests: 0, bytesIn: there.length, bytesOut: back.length, active: 1, tunnels: { opened: 1, active: 1, messagesIn: 2, messagesOut: 2 } });
    end.end();
    app.end();
    await untilTunnels(rig, 0);
    expect(rig.plane.readSeries()[0]).toMatchObject({ requests: 1, bytesIn: there.length, active: 0, tunnels: { opened: 1, active: 0 } });
    expect(rig.plane.readSeries()[0]?.codes.get(101)).toBe(1);
  });
});

it('more tunnels than an instance may have connections for requests take no room from requests', async () => {
  const { rig, up } = await ends.rig(async (app) => {
    await app.untilText('\r\n\r\n');
    app.send(/^upgrade:/im.test(app.text) ? switchingAnswer() : ok('plain'));
  });
  const opened: WireEnd[] = [];
  while (opened.length < defaultPoolLimits.connectionsMax + 50) {
    const some = await Promise.all(Array.from({ length: 50 }, () => ends.client(rig.port)));
    for (const end of some) end.send(upgradeRequest());
    await Promise.all(some.map((end) => end.untilText('\r\n\r\n')));
    opened.push(...some);
  }
  expect(opened.filter(({ text }) => !text.startsWith('HTTP/1.1 101 '))).toEqual([]);
  const plain = await ends.client(rig.port);
  plain.send(get());
  await plain.untilText('plain');
  expect((await tunnelsOf(rig)).count).toBe(opened.length);
  expect((await rig.leftovers()).open).toBe(up.connections.length);
}, 60_000);

/** Pieces of these sizes, the same for the same seed. */
function bytesOf(seed: number, sizes: readonly number[]): Buffer[] {
  let state = seed | 1;
  return sizes.map((size) => {
    const piece = Buffer.alloc(size);
    for (let at = 0; at < size; at++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
      piece[at] = state >>> 16;
    }
    return piece;
  });
}

/** Whether what was written stays unwritten over some rounds of the event loop. */
async function stalls(socket: { readonly writableLength: number }): Promise<boolean> {
  const before = socket.writableLength;
  for (let i = 0; i < 200 && socket.writableLength === before; i++) await new Promise(setImmediate);
  return socket.writableLength === before && before > 0;
}

describe('limits', () => {
  it.each([
    ['silence', { tunnelIdle: '1s' }, 'stream-idle', '/tunnelIdle', 1001],
    ['a whole life', { maxStream: '1s' }, 'max-stream-duration', '/maxStream', 1001],
  ])('of %s end a WebSocket with a Close frame on both sides', async (_what, timeouts, reason, pointer, code) => {
    const { rig, up } = await ends.rig(switches, { timeouts });
    const { end, app } = await ends.open(rig, up);
    await end.untilClosed();
    expect([...end.received]).toEqual([0x88, 2, code >> 8, code & 255]);
    await app.untilClosed();
    const [first, second, ...mask] = app.received;
    expect([first, second]).toEqual([0x88, 0x82]);
    expect(((mask[4] ?? 0) ^ (mask[0] ?? 0)) * 256 + ((mask[5] ?? 0) ^ (mask[1] ?? 0))).toBe(code);
    end.end();
    app.end();
    await vi.waitFor(() => expect(rig.refusals).toMatchObject([{ reason, pointer, kind: 'timeout', status: 101 }]));
    await rig.untilNothingIsLeft();
  });

  it('on bytes of both directions', async () => {
    const { rig, up } = await ends.rig(switches, { limits: { tunnelBytes: '1KiB' } });
    const { end, app } = await ends.open(rig, up);
    end.send(frame(2, Buffer.alloc(500), { mask: true }));
    app.send(frame(2, Buffer.alloc(600)));
    await end.untilClosed();
    expect([...end.received.subarray(-4)]).toEqual([0x88, 2, 1008 >> 8, 1008 & 255]);
    end.end();
    app.end();
    await vi.waitFor(() => expect(rig.refusals).toMatchObject([{ reason: 'tunnel-bytes', pointer: '/tunnelBytes', kind: 'requestLimits', policy: 'sets-tunnelBytes' }]));
  });

  it('that meet a frame under way let it end first; who does not say goodbye is cut', async () => {
    const { rig, up } = await ends.rig(switches, { timeouts: { maxStream: '1500ms' } });
    const { end, app } = await ends.open(rig, up);
    const whole = frame(2, Buffer.alloc(3000, 5));
    app.send(whole.subarray(0, 1000));
    await app.until(() => app.received.length > 0);
    app.send(whole.subarray(1000));
    app.send(frame(1, Buffer.from('too late')));
    await end.untilClosed();
    expect(end.received.subarray(0, whole.length).equals(whole)).toBe(true);
    expect([...end.received.subarray(whole.length)]).toEqual([0x88, 2, 1001 >> 8, 1001 & 255]);
    await untilTunnels(rig, 0);
    await rig.untilNothingIsLeft();
  });
});

describe('whatever comes in which pieces', () => {
  const answers = ['switch', 'refuse', 'ignore', 'wrong', 'break'] as const;

  it('what follows a request to switch is only ever the bytes of its tunnel', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(2), fc.constantFrom(...answers), fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }), fc.boolean(), async (before, answer, cuts, early) => {
      const { rig, up } = await ends.rig(async (app) => {
        for (let nth = 1; app.state === 'open'; nth++) {
          await app.until(() => app.text.split('\r\n\r\n').length > nth || app.state !== 'open');
          const request = app.text.split('\r\n\r\n')[nth - 1] ?? '';
          if (!/^upgrade:/im.test(request)) app.send(ok('plain'));
          else if (answer === 'switch') {
            app.send(switchingAnswer());
            return;
          } else if (answer === 'refuse') app.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
          else if (answer === 'ignore') app.send(ok('plain'));
          else if (answer === 'wrong') app.send(switchingAnswer('', 'tcp'));
          else app.reset();
        }
      }, { retries: { retries: 2 } });
      const end = await ends.client(rig.port);
      const smuggled = get('/smuggled', 'X-Smuggled: 1\r\n');
      const text = get('/plain').repeat(before) + upgradeRequest() + (early ? smuggled : '');
      for (let at = 0, nth = 0; at < text.length; nth++) {
        const to = at + (cuts[nth % cuts.length] ?? 1);
        end.send(text.slice(at, to));
        at = to;
        if (nth % 2 === 0) await new Promise(setImmediate);
      }
      const last = answer === 'switch' ? '101 ' : answer === 'refuse' ? '403 ' : answer === 'ignore' ? '200 ' : '502 ';
      await end.until(() => end.text.split('HTTP/1.1 ').length === before + 2 || end.state !== 'open');
      expect(end.text.split('HTTP/1.1 ').slice(1).map((part) => part.slice(0, 4))).toEqual([...Array.from({ length: before }, () => '200 '), last]);
      if (!early && end.state === 'open') end.send(smuggled);
      if (answer === 'switch') {
        await Promise.race(up.connections.map((app) => app.until(() => app.text.endsWith(`\r\n\r\n${smuggled}`))));
      } else {
        await end.untilClosed();
        expect(up.connections.map((app) => app.text).join('')).not.toContain('smuggled');
      }
      end.close();
      for (const app of up.connections) app.close();
      await rig.untilNothingIsLeft();
    }), { numRuns: 40 });
  });
});
