import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { END_STREAM, FrameServer, T, data, head, initialWindow, settings, windowUpdate, type FrameEnd } from '../testdata/frame-server.ts';
import { endpointAt, GatewayRig } from '../testdata/gateway-rig.ts';
import { TunnelEnds, upgradeRequest } from '../testdata/tunnel-ends.ts';

const ends = new TunnelEnds();

afterEach(() => ends.close());

/**
 * Its last words were lost, and the app saw a reset: a connection on which both sides have ended closes by itself, and counted as a client that
 * had gone, while the app's window still held back what it had sent. What is held now outlives the connection, until it is taken.
 */
it('a client that has said everything and heard everything is heard to the end, however late the app takes it', async () => {
  const { promise: connected, resolve } = Promise.withResolvers<FrameEnd>();
  const server = await FrameServer.start(resolve, settings([8, 1], initialWindow(0)));
  ends.later(() => server.close());
  const rig = await GatewayRig.start({ upstreams: [], endpoints: [{ ...endpointAt(server.port), protocols: ['h2c'] }] });
  ends.later(() => rig.close());
  const client = await ends.client(rig.port);
  const closed = once(client.socket, 'close');
  client.send(upgradeRequest());
  const app = await connected;
  const id = await app.request();
  app.send(head(id));
  await client.untilText('\r\n\r\n');
  client.send('words');
  client.end();
  app.send(data(id, 'bye'));
  await client.untilText('bye');
  await closed;
  await client.until(() => client.state === 'end');
  app.send(windowUpdate(id, 100));
  await app.until(() => app.closed || app.frames.some(({ type, flags }) => type === T.reset || (type === T.data && (flags & END_STREAM) !== 0)));
  const seen = app.frames.filter(({ type, id: of }) => of === id && (type === T.data || type === T.reset));
  expect(seen.map(({ payload }) => payload.toString()).join('')).toBe('words');
  expect(seen.map(({ type }) => type)).not.toContain(T.reset);
  await rig.untilNothingIsLeft();
  expect(rig.refusals).toEqual([]);
});
