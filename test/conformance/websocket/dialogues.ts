import { once } from 'node:events';
import type WebSocket from 'ws';
import { until } from '../../processes/until.ts';

/** What two ends say to each other. Rejects where something does not arrive as it was sent. */
export interface Dialogue {
  readonly name: string;
  run(client: WebSocket, server: WebSocket): Promise<void>;
}

type Message = string | Buffer;

export const dialogues: readonly Dialogue[] = [
  { name: 'text and binary messages of all length classes, both ways', run: (client, server) => bothWays(client, server, messages()) },
  { name: 'a megabyte, both ways', run: (client, server) => bothWays(client, server, [pattern(1 << 20), pattern((1 << 20) + 1).toString('latin1')]) },
  { name: 'a message in fragments', run: fragments },
  { name: 'ping and pong with payload', run: pingPong },
  { name: 'two hundred messages without waiting', run: burst },
  { name: 'closed by the client with code and reason', run: (client, server) => closing(client, server, 4001, 'client is done') },
  { name: 'closed by the server with code and reason', run: (client, server) => closing(server, client, 4002, 'server is done') },
  { name: 'closed without a code', run: (client, server) => closing(client, server) },
  { name: 'broken off by the client', run: (client, server) => breaking(client, server) },
  { name: 'broken off by the server', run: (client, server) => breaking(server, client) },
];

function messages(): Message[] {
  const sizes = [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 100_000];
  return sizes.flatMap((size) => [pattern(size), 'é'.repeat(size >> 1)]);
}

function pattern(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
}

async function bothWays(client: WebSocket, server: WebSocket, list: readonly Message[]): Promise<void> {
  for (const [from, to] of [[client, server], [server, client]] as const) {
    const heard = hear(to, list.length);
    for (const message of list) from.send(message);
    same(await heard, list);
  }
}

async function fragments(client: WebSocket, server: WebSocket): Promise<void> {
  const heard = hear(server, 1);
  for (const [i, part] of ['one ', 'two ', 'three'].entries()) client.send(part, { fin: i === 2 });
  same(await heard, ['one two three']);
}

async function pingPong(client: WebSocket, server: WebSocket): Promise<void> {
  for (const [from, to] of [[client, server], [server, client]] as const) {
    const ping = once(to, 'ping');
    const pong = once(from, 'pong');
    from.ping('are you there');
    if (String((await ping)[0]) !== 'are you there' || String((await pong)[0]) !== 'are you there') throw new Error('ping or pong has another payload');
  }
}

async function burst(client: WebSocket, server: WebSocket): Promise<void> {
  const list = Array.from({ length: 200 }, (_, i) => `message ${i}`);
  const [atServer, atClient] = [hear(server, 200), hear(client, 200)];
  for (const text of list) {
    client.send(text);
    server.send(text);
  }
  same(await atServer, list);
  same(await atClient, list);
}

async function closing(from: WebSocket, to: WebSocket, code?: number, reason?: string): Promise<void> {
  const [gone, came] = [once(from, 'close'), once(to, 'close')];
  if (code === undefined) from.close();
  else from.close(code, reason);
  const [told, text] = await came as [number, Buffer];
  await gone;
  if (told !== (code ?? 1005) || text.toString() !== (reason ?? '')) throw new Error(`closed with ${told} ${text.toString()}`);
}

async function breaking(from: WebSocket, to: WebSocket): Promise<void> {
  const came = once(to, 'close');
  from.terminate();
  const [code] = await came as [number];
  if (code !== 1006) throw new Error(`closed with ${code} instead of 1006`);
}

async function hear(socket: WebSocket, count: number): Promise<Message[]> {
  const list: Message[] = [];
  const listen = (data: Buffer, binary: boolean): void => { list.push(binary ? data : data.toString()); };
  socket.on('message', listen);
  await until(`${count} messages`, () => list.length, (length) => length >= count);
  socket.off('message', listen);
  return list;
}

function same(heard: readonly Message[], sent: readonly Message[]): void {
  for (const [i, message] of sent.entries()) {
    if (Buffer.compare(Buffer.from(heard[i] ?? ''), Buffer.from(message)) !== 0 || typeof heard[i] !== typeof message) throw new Error(`message ${i} of ${message.length} came as ${heard[i]?.length}`);
  }
}
