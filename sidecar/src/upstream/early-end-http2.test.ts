import http2 from 'node:http2';
import net from 'node:net';
import { data, frame, headers, settings, settingsAck } from '@remora/http/http2/testdata/frame-bytes';
import { afterEach, expect, it } from 'vitest';
import { GatewayRig, endpointAt } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

// An instance that had answered whole, and then ended its connection in an orderly way (a restart, a maximum age), broke off the answers that slow clients had not taken yet.
it('an answer over HTTP/2 comes whole where its connection ends before the client has taken it', async () => {
  let ended = (): void => {};
  const closed = new Promise<void>((resolve) => { ended = resolve; });
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    let answered = false;
    let received = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('close', () => ended());
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (answered || !received.includes('/answer')) return;
      answered = true;
      // `:status: 200` is one entry of the static table (RFC 7541 appendix A).
      const answer = [headers(1, { end: false, block: Buffer.from([0x88]) }), data(1, 'beginner'), data(1, 'the end', true)];
      const goAway = frame(7, 0, 0, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]));
      socket.end(Buffer.concat([settings(), settingsAck, ...answer, goAway]));
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  closers.push(() => server.close());
  const endpoint = endpointAt((server.address() as net.AddressInfo).port);
  const gateway = await GatewayRig.start({ upstreams: [], endpoints: [{ ...endpoint, protocols: ['h2c'] }] });
  closers.push(() => gateway.close());
  const session = http2.connect(`http://127.0.0.1:${gateway.port}`, { settings: { initialWindowSize: 4 } });
  closers.push(() => session.destroy());
  await new Promise((resolve) => { session.once('localSettings', resolve); });
  const stream = session.request({ ':path': '/answer' });
  let text = '';
  const over = new Promise<number>((resolve) => { stream.on('error', () => {}).once('close', () => resolve(stream.rstCode)); });
  await new Promise((resolve) => { stream.once('response', resolve).once('close', resolve); });
  await closed;
  stream.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  expect([await over, text]).toEqual([0, 'beginnerthe end']);
  session.destroy();
  await gateway.untilNothingIsLeft();
});
