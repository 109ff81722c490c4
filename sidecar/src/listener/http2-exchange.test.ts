import http2 from 'node:http2';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';
import { headers, prefaceBytes, reset, settings } from '@remora/http/http2/testdata/frame-bytes';
import { WireEnd, WireUpstream, echoRequests } from '@remora/testing/wire-end';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function rig(behave: (end: WireEnd, nth: number) => unknown, options: Partial<RigOptions> = {}): Promise<{ rig: GatewayRig; up: WireUpstream }> {
  const up = await WireUpstream.start(behave);
  closers.push(() => up.close());
  const started = await GatewayRig.start({ upstreams: [up.port], ...options });
  closers.push(() => started.close());
  return { rig: started, up };
}

async function connect(port: number, options: http2.ClientSessionOptions = {}): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`http://127.0.0.1:${port}`, options);
  session.on('error', () => {});
  closers.push(() => session.destroy());
  await once(session, 'connect');
  return session;
}

interface Answer {
  headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  infos: http2.IncomingHttpHeaders[];
  body: string;
  trailers: http2.IncomingHttpHeaders;
  code: number;
}

/** Sends a request, answers when the stream has closed. `body` null: the request ends with its head. */
async function ask(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body: string | Buffer | null = null, trailers: http2.OutgoingHttpHeaders | null = null): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === null, waitForTrailers: trailers !== null });
  const answer: Answer = { headers: {}, infos: [], body: '', trailers: {}, code: -1 };
  const chunks: Buffer[] = [];
  stream.on('response', (received) => {
    answer.headers = received;
  });
  stream.on('headers', (received) => answer.infos.push(received));
  stream.on('trailers', (received) => {
    answer.trailers = received;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => {});
  if (trailers !== null) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  if (body !== null) stream.end(body);
  await once(stream, 'close');
  answer.body = Buffer.concat(chunks).toString('latin1');
  answer.code = stream.rstCode;
  return answer;
}

const ok = (body: string, extra = ''): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${extra}\r\n${body}`;

function answering(text: string): (end: WireEnd) => Promise<void> {
  return async (end) => {
    for (let nth = 1; (await end.message('request', nth)) !== null; nth++) end.send(text);
  };
}

describe('a request over HTTP/2', () => {
  it('reaches an HTTP/1.1 upstream as the same request, and its answer comes back', async () => {
    const { rig: gateway } = await rig(echoRequests);
    const session = await connect(gateway.port);
    const { headers, body, code } = await ask(session, {
      ':method': 'POST', ':path': '/a%2Db/c?x=1', ':authority': 'Shop.example', cookie: ['a=b', 'c=d'], 'x-forwarded-for': '6.6.6.6', 'x-one': '1',
    }, 'hello');
    expect(code).toBe(0);
    expect(headers[':status']).toBe(200);
    const seen = JSON.parse(body) as { fields: string[] };
    expect(seen).toMatchObject({ method: 'POST', target: '/a-b/c?x=1', body: 'hello' });
    expect(seen.fields).toEqual(expect.arrayContaining(['host: Shop.example', 'x-one: 1', 'cookie: a=b; c=d', 'x-forwarded-for: 127.0.0.1']));
  });

  it('is one of many on a connection', async () => {
    const { rig: gateway } = await rig(echoRequests);
    const session = await connect(gateway.port);
    const answers = await Promise.all(Array.from({ length: 90 }, (_, i) => ask(session, { ':path': `/${i}` })));
    expect(answers.map(({ body }) => (JSON.parse(body) as { target: string }).target)).toEqual(answers.map((_, i) => `/${i}`));
  });

  it('brings large bodies both ways', async () => {
    const { rig: gateway } = await rig(echoRequests);
    const session = await connect(gateway.port);
    const sent = 'x'.repeat(3_000_000);
    const { body } = await ask(session, { ':method': 'PUT', ':path': '/' }, sent);
    expect((JSON.parse(body) as { body: string }).body === sent).toBe(true);
  });

  it('gets interim heads, trailers, and no body where there is none', async () => {
    const { rig: gateway } = await rig(answering('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n'));
    const session = await connect(gateway.port);
    const answer = await ask(session, { ':path': '/' });
    expect(answer).toMatchObject({ body: 'abc', trailers: { 'x-sum': '3' } });
    expect(answer.infos).toMatchObject([{ ':status': 103, link: '</a>' }]);
    const { rig: other } = await rig(answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'));
    const head = await ask(await connect(other.port), { ':method': 'HEAD', ':path': '/' });
    expect(head).toMatchObject({ body: '', code: 0, headers: { 'content-length': '5' } });
  });

  it('passes trailers on', async () => {
    const { rig: gateway, up } = await rig(answering(ok('')));
    const session = await connect(gateway.port);
    await ask(session, { ':method': 'POST', ':path': '/' }, 'hello', { 'x-sum': '5' });
    expect(up.connections[0]?.text).toContain('5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n');
  });

  it('gets 100 when somebody wants its body', async () => {
    const { rig: gateway } = await rig(echoRequests);
    const session = await connect(gateway.port);
    const stream = session.request({ ':method': 'POST', ':path': '/', expect: '100-continue' }, { endStream: false });
    await once(stream, 'continue');
    stream.end('later');
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(stream, 'close');
    expect(JSON.parse(Buffer.concat(chunks).toString())).toMatchObject({ body: 'later' });
  });

  it('is answered early: NO_ERROR tells it that the rest is not needed', async () => {
    const { rig: gateway } = await rig(async (end) => {
      await end.untilText('\r\n\r\n');
      end.send('HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig');
    });
    const session = await connect(gateway.port);
    const stream = session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
    stream.on('error', () => {});
    stream.write('some');
    const [headers] = (await once(stream, 'response')) as [Answer['headers']];
    expect(headers[':status']).toBe(413);
    stream.resume();
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
    const other = await connect(gateway.port);
    expect(other.closed).toBe(false);
  });

  it('cancels what runs for it when it is cancelled', async () => {
    const { rig: gateway, up } = await rig((end) => end.untilClosed());
    const session = await connect(gateway.port);
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => {});
    await expect.poll(() => up.connections.length).toBe(1);
    await up.connections[0]?.untilText('\r\n\r\n');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await up.connections[0]?.untilClosed();
    session.destroy();
    await gateway.untilNothingIsLeft();
  });

  it.each([
    ['CONNECT', { ':method': 'CONNECT', ':authority': 'a:1' }, 403],
    ['an unknown protocol', { ':method': 'CONNECT', ':protocol': 'chess', ':path': '/', ':scheme': 'http' }, 501],
    ['an expectation', { ':path': '/', expect: 'the-unexpected' }, 417],
    ['a denied spelling of a path', { ':path': '/a/../b' }, 400],
    ['too many fields', { ':path': '/', ...Object.fromEntries(Array.from({ length: 130 }, (_, i) => [`x-${i}`, '1'])) }, 431],
    ['too large a field', { ':path': '/', 'x-large': 'x'.repeat(70_000) }, 431],
  ])('is refused where it asks for %s', async (_, headers, status) => {
    const { rig: gateway } = await rig(answering(ok('')));
    const session = await connect(gateway.port, { maxSendHeaderBlockLength: 200_000 });
    if (':protocol' in headers) await expect.poll(() => session.remoteSettings.enableConnectProtocol).toBe(true);
    const answer = await ask(session, headers);
    expect(answer.headers[':status']).toBe(status);
    expect((await ask(session, { ':path': '/' })).headers[':status']).toBe(200);
  });
});

describe('a connection', () => {
  it('that the client ends behind its request gets the answer that was made at once', async () => {
    const { rig: gateway } = await rig(echoRequests, { routes: [{ name: 'all', match: { path: { kind: { $case: 'prefix', value: '/' } } }, action: { $case: 'respond', value: { status: 200, body: Buffer.from('here it is'), contentType: 'text/plain' } } }] });
    const end = await WireEnd.connect(gateway.port);
    closers.push(() => end.close());
    end.send(Buffer.concat([prefaceBytes, settings(), headers(1)]));
    end.end();
    await end.untilClosed();
    expect([end.text.includes('here it is'), end.state]).toEqual([true, 'end']);
    await gateway.untilNothingIsLeft();
  });

  it('drains without losing a request', async () => {
    let release = (): void => {};
    const { rig: gateway } = await rig(async (end) => {
      await end.message('request', 1);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      end.send(ok('late'));
    });
    const session = await connect(gateway.port);
    const asked = ask(session, { ':path': '/' });
    await expect.poll(async () => (await gateway.leftovers()).active).toBe(1);
    const drained = gateway.plane.drain(5000);
    await once(session, 'goaway');
    release();
    expect((await asked).body).toBe('late');
    await drained;
  });

  it('ends after being idle for long enough', async () => {
    const { rig: gateway } = await rig(answering(ok('')), { limits: { idleTimeout: '600ms' } });
    const session = await connect(gateway.port);
    expect((await ask(session, { ':path': '/' })).code).toBe(0);
    await once(session, 'close');
    await gateway.untilNothingIsLeft();
  });

  it('is told to go after its number of requests', async () => {
    const { rig: gateway } = await rig(answering(ok('')), { limits: { requestsPerConnection: 3 } });
    const session = await connect(gateway.port);
    for (let i = 0; i < 3; i++) expect((await ask(session, { ':path': '/' })).headers[':status']).toBe(200);
    await once(session, 'close');
  });

  it('says how many requests it takes at once, and refuses more so that they can be repeated', async () => {
    const { rig: gateway } = await rig((end) => end.untilClosed(), { limits: { streamsPerConnection: 2 } });
    const end = await WireEnd.connect(gateway.port);
    closers.push(() => end.close());
    end.send(Buffer.concat([prefaceBytes, settings(), headers(1), headers(3), headers(5)]));
    await end.until(() => end.received.includes(reset(5, http2.constants.NGHTTP2_REFUSED_STREAM)));
    const session = await connect(gateway.port);
    await expect.poll(() => session.remoteSettings.maxConcurrentStreams).toBe(2);
  });

  it('does not wait for bodies that do not come', async () => {
    const { rig: gateway } = await rig((end) => end.untilClosed(), { limits: { bodyTimeout: '100ms' } });
    const session = await connect(gateway.port);
    const stream = session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
    stream.on('error', () => {});
    const [headers] = (await once(stream, 'response')) as [Answer['headers']];
    expect(headers[':status']).toBe(408);
    await expect.poll(() => gateway.refusals.at(-1)).toMatchObject({ reason: 'request-timeout', pointer: '/bodyTimeout' });
  });

  it('leaves nothing behind when it breaks off', async () => {
    const { rig: gateway } = await rig((end) => end.untilClosed());
    const session = await connect(gateway.port);
    for (let i = 0; i < 20; i++) {
      const stream = session.request({ ':method': 'POST', ':path': '/' }, { endStream: i % 2 === 0 });
      stream.on('error', () => {});
      if (i % 2 === 1) stream.write('x'.repeat(i * 1000));
    }
    await expect.poll(async () => (await gateway.leftovers()).active).toBe(20);
    session.destroy();
    await gateway.untilNothingIsLeft();
  });
});
