import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { until } from '../../processes/until.ts';
import { withProxies } from '../proxy-under-test.ts';
import type { CaseNote, Suite, SuiteResult, Wanted } from '../suite.ts';
import { dialogues, type Dialogue } from './dialogues.ts';
import { Http2Bridge } from './http2-bridge.ts';
import { behindHead, Tap, type TappedConnection } from './tap.ts';

/**
 * The `ws` client and server on the two sides of one sidecar, and of two: whatever they say arrives, and the bytes behind the handshakes are the same on both
 * sides of us, each way. With and without permessage-deflate, which is theirs to agree on.
 */
export const websocketSuite: Suite = { name: 'websocket', needs: [], run };

interface Setting {
  /** Of the client. */
  readonly version: 1 | 2;
  readonly hops: 1 | 2;
  readonly deflate: boolean;
}

const settings: readonly Setting[] = ([1, 2] as const).flatMap((version) => ([1, 2] as const).flatMap((hops) => [false, true].map((deflate) => ({ version, hops, deflate }))));

async function* run(wanted: Wanted): AsyncGenerator<SuiteResult> {
  for (const setting of settings.filter((one) => wanted(titleOf(one)))) yield await judge(setting);
}

function titleOf({ version, hops, deflate }: Setting): string {
  return `websocket, ${version === 1 ? 'HTTP/1.1' : 'HTTP/2'}, ${deflate ? 'permessage-deflate' : 'plain'}, ${hops === 1 ? 'one sidecar' : 'two sidecars'}`;
}

function judge(setting: Setting): Promise<SuiteResult> {
  return withProxies(async (proxies) => {
    const { app, servers } = await startApp(setting.deflate);
    const behind = await Tap.start(() => (app.address() as AddressInfo).port);
    const { port } = await proxies.proxy({ upstreamPort: behind.port, hops: setting.hops });
    await until('the app is reached', async () => (await fetch(`http://127.0.0.1:${port}/`)).status, (status) => status === 426);
    const before = setting.version === 1 ? await Tap.start(() => port) : await Http2Bridge.start(port);
    const failed: CaseNote[] = [];
    for (const dialogue of dialogues) {
      const why = await hold(dialogue, setting, { before, behind, servers }).catch((error: unknown) => String(error));
      if (why !== '') failed.push({ name: dialogue.name, why });
    }
    before.close();
    behind.close();
    app.closeAllConnections();
    app.close();
    return { title: titleOf(setting), passed: dialogues.length - failed.length, failed, excluded: [] };
  });
}

interface Sides {
  readonly before: Tap | Http2Bridge;
  readonly behind: Tap;
  /** Server ends that nobody has taken yet. */
  readonly servers: WebSocket[];
}

async function startApp(deflate: boolean): Promise<{ readonly app: Server; readonly servers: WebSocket[] }> {
  const servers: WebSocket[] = [];
  const app = createServer((_, response) => response.writeHead(426).end());
  new WebSocketServer({ server: app, perMessageDeflate: deflate ? { threshold: 0 } : false, handleProtocols: () => 'second' }).on('connection', (socket) => {
    socket.on('error', () => {});
    servers.push(socket);
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  return { app, servers };
}

/** One connection, one dialogue; '' where it went well and the bytes are the same on both sides. */
async function hold(dialogue: Dialogue, { deflate }: Setting, { before, behind, servers }: Sides): Promise<string> {
  const [known, knownBehind] = [before.connections.length, behind.connections.length];
  const client = new WebSocket(`ws://127.0.0.1:${before.port}/chat?x=1`, ['first', 'second'], { perMessageDeflate: deflate ? { threshold: 0 } : false });
  client.on('error', () => {});
  await Promise.race([once(client, 'open'), once(client, 'close').then(() => { throw new Error('the handshake was refused'); })]);
  await until('the server end is there', () => servers.length, (count) => count > 0);
  const server = servers.shift() as WebSocket;
  if (client.protocol !== 'second') return `subprotocol ${client.protocol}`;
  if ((client.extensions !== '') !== deflate) return `extensions ${client.extensions}`;
  await dialogue.run(client, server);
  client.terminate();
  server.terminate();
  const ours = before.connections[known] as TappedConnection;
  // Connections that were made earlier may serve the handshake: the one that carries this dialogue is the one whose bytes end alike.
  const theirs = behind.connections.findLast((one, nth) => (nth >= knownBehind || behindHead(one.toServer) !== '') && one.toServer.includes('/chat?x=1'));
  if (theirs === undefined) return 'no connection reached the app';
  await until('both connections have ended', () => ours.clientEnded && theirs.serverEnded, (over) => over);
  return compare('client to server', upgraded(ours.toServer), upgraded(theirs.toServer)) || compare('server to client', upgraded(theirs.toClient), upgraded(ours.toClient));
}

/** Behind the last head of the connection: earlier requests may have used it. */
function upgraded(text: string): string {
  const at = Math.max(text.lastIndexOf('GET /chat?x=1'), text.lastIndexOf('HTTP/1.1 101'));
  return at < 0 ? '' : behindHead(text.slice(at));
}

function compare(way: string, sent: string, received: string): string {
  if (sent === received) return '';
  // What a side sent when the other had broken off may be lost, nothing else.
  if (sent.startsWith(received) && sent.length - received.length < 64) return '';
  let at = 0;
  while (at < sent.length && sent[at] === received[at]) at++;
  return `${way}: ${sent.length} bytes sent, ${received.length} received, different from byte ${at}`;
}
