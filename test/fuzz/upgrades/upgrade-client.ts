import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2';
import type { RawClient } from '../../processes/raw-client.ts';
import { Choice } from '../choice.ts';
import { clientPatienceMs } from '../gateway-layer.ts';
import { tokenPath } from '../http1/request-generator.ts';
import { chooseCuts, cutAt } from '../segmentation.ts';
import { TappedSocket } from '../witness/tapped-socket.ts';
import { TunnelEnd } from './tunnel-end.ts';
import type { UpgradePlan } from './upgrade-plan.ts';

/** What a client got for its request to switch. */
export interface UpgradeOutcome {
  /** Of the ordinary requests before it. */
  readonly before: readonly number[];
  /** 0: none. */
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Behind a switch. */
  readonly end: TunnelEnd | null;
  /** HTTP/1.1, no switch: everything behind the head of the answer, to the end of the connection. */
  readonly rest: string;
  readonly close: () => void;
}

/** Asks over HTTP/1.1, with what is to follow in the same stream of segments. */
export async function askHttp1(plan: UpgradePlan, tokens: { readonly before: readonly string[]; readonly asking: string }, client: RawClient): Promise<UpgradeOutcome> {
  const { ask, early, seed } = plan;
  const ordinary = tokens.before.map((token) => `GET ${tokenPath(token)} HTTP/1.1\r\nHost: app\r\n\r\n`).join('');
  const bytes = Buffer.concat([Buffer.from(`${ordinary}${ask.method} ${tokenPath(tokens.asking)} HTTP/1.1\r\nHost: app\r\n${ask.lines}\r\n${ask.body}`), early]);
  await client.writePieces(cutAt(bytes, chooseCuts(new Choice(seed ^ 0x5151), bytes)));
  if (ask.kind === 'ignored') client.socket.end();
  const before: number[] = [];
  let at = 0;
  for (let left = tokens.before.length; left > 0; left--) {
    const head = await nextHead(client, at);
    if (head === null) break;
    before.push(head.status);
    at = head.end + Number(head.headers.get('content-length') ?? 0);
  }
  let head = await nextHead(client, at);
  while (head !== null && head.status < 200 && head.status !== 101) head = await nextHead(client, head.end);
  if (head === null) return { before, status: 0, headers: new Map(), end: null, rest: '', close: () => client.destroy() };
  const { status, headers, end } = head;
  if (status === 101) return { before, status, headers, rest: '', close: () => client.destroy(), end: new TunnelEnd(client.socket, Buffer.from(client.text.slice(end), 'latin1'), client.ended ?? 'open') };
  await client.untilClosed(clientPatienceMs);
  return { before, status, headers, end: null, rest: client.text.slice(end), close: () => client.destroy() };
}

interface Head {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly end: number;
}

async function nextHead(client: RawClient, at: number): Promise<Head | null> {
  await client.until('a head has come', ({ text }) => text.includes('\r\n\r\n', at), clientPatienceMs);
  const end = client.text.indexOf('\r\n\r\n', at);
  if (end < 0) return null;
  const [start = '', ...lines] = client.text.slice(at, end).split('\r\n');
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(start)?.[1] ?? 0), headers, end: end + 4 };
}

/** Asks by extended CONNECT (RFC 8441), as Node's own HTTP/2 client. */
export async function askHttp2({ ask, early }: UpgradePlan, tokens: { readonly before: readonly string[]; readonly asking: string }, client: RawClient): Promise<UpgradeOutcome> {
  const session = connect('http://app', { createConnection: () => new TappedSocket(client.socket) });
  session.on('error', () => {});
  const close = (): void => {
    session.destroy();
    client.destroy();
  };
  await new Promise((resolve) => { session.once('remoteSettings', resolve).once('close', resolve); });
  const before = await Promise.all(tokens.before.map((token) => ordinary(session, token)));
  const stream = session.request({ ':method': 'CONNECT', ':protocol': ask.protocol, ':scheme': 'http', ':path': tokenPath(tokens.asking), ':authority': 'app', 'sec-websocket-version': '13' }, { endStream: false });
  stream.on('error', () => {});
  if (early.length > 0) stream.write(early);
  const answer = await responseOf(stream);
  const status = answer?.[':status'] ?? 0;
  const headers = new Map(Object.entries(answer ?? {}).map(([name, value]) => [name, String(value)]));
  if (status === 200) return { before, status, headers, end: new TunnelEnd(stream, Buffer.alloc(0)), rest: '', close };
  return { before, status, headers, end: null, rest: '', close };
}

async function ordinary(session: ClientHttp2Session, token: string): Promise<number> {
  const stream = session.request({ ':path': tokenPath(token), ':authority': 'app' });
  stream.on('error', () => {}).resume();
  return (await responseOf(stream))?.[':status'] ?? 0;
}

function responseOf(stream: ClientHttp2Stream): Promise<(IncomingHttpHeaders & IncomingHttpStatusHeader) | null> {
  return new Promise((resolve) => { stream.once('response', resolve).once('close', () => resolve(null)); });
}
