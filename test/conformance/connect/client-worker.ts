/**
 * What connectconformance starts as the client under test: the reference client, whose requests go to the gateway instead of straight to
 * the runner's reference server.
 */
import { spawn } from 'node:child_process';
import { delimit, readNumber, takeMessages, withNumber } from './delimited.ts';
import { untilReachable } from './reachable.ts';

const [referenceClient = '', http1Port = '', http2Port = ''] = process.argv.slice(2);
const requestHttpVersion = 2;
const requestPort = 7;

const client = spawn(referenceClient, [], { stdio: ['pipe', 'inherit', 'inherit'] });
let fromRunner: Buffer = Buffer.alloc(0);
/** Messages go on in order, each once its server is reached: the runner starts another server on the same port in between. */
let forwarded: Promise<void> = Promise.resolve();
let reachedAt = -Infinity;
process.stdin.on('data', (bytes: Buffer) => {
  fromRunner = Buffer.concat([fromRunner, bytes]);
  const { messages, rest } = takeMessages(fromRunner);
  fromRunner = rest;
  for (const message of messages) forwarded = forwarded.then(() => forward(message));
});
process.stdin.on('end', () => void forwarded.then(() => client.stdin.end()));
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => client.kill('SIGTERM'));
client.stdin.on('error', () => {});
client.once('exit', (code) => process.exit(code ?? 1));

async function forward(message: Uint8Array): Promise<void> {
  const port = Number(readNumber(message, requestHttpVersion) === 2 ? http2Port : http1Port);
  if (performance.now() - reachedAt > 20) await untilReachable(port);
  reachedAt = performance.now();
  client.stdin.write(delimit(withNumber(message, requestPort, port)));
}
