/**
 * What connectconformance starts as the client under test: the reference client, whose requests go to the gateway instead of straight to
 * the runner's reference server. Arguments: the reference client, the gateway's port, and where the gateway speaks TLS its certificate.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimit, takeMessages, withBytes, withNumber } from './delimited.ts';
import { untilReachable } from './reachable.ts';

const [referenceClient = '', gatewayPort = '', certFile = ''] = process.argv.slice(2);
const requestPort = 7;
const requestServerCert = 8;
const cert = certFile === '' ? null : readFileSync(certFile);

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
  if (performance.now() - reachedAt > 20) await untilReachable(Number(gatewayPort), cert !== null);
  reachedAt = performance.now();
  const moved = withNumber(message, requestPort, Number(gatewayPort));
  client.stdin.write(delimit(cert === null ? moved : withBytes(moved, requestServerCert, cert)));
}
