/**
 * What connectconformance starts as the server under test: the reference server on a fixed port, of which it tells the runner the gateway's port instead.
 * Arguments: the reference server, its port, the gateway's port, and where the gateway speaks TLS its certificate. The reference server itself never does then.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimit, takeMessages, withBytes, withNumber } from './delimited.ts';
import { untilReachable } from './reachable.ts';

const [referenceServer = '', upstreamPort = '', gatewayPort = '', certFile = ''] = process.argv.slice(2);
const requestUseTls = 4;
const responsePort = 2;
const responseCert = 3;

const server = spawn(referenceServer, ['-port', upstreamPort], { stdio: ['pipe', 'pipe', 'inherit'] });
let fromRunner: Buffer = Buffer.alloc(0);
process.stdin.on('data', (bytes: Buffer) => {
  fromRunner = Buffer.concat([fromRunner, bytes]);
  const { messages, rest } = takeMessages(fromRunner);
  fromRunner = rest;
  for (const message of messages) server.stdin.write(delimit(certFile === '' ? message : withNumber(message, requestUseTls, 0)));
});
process.stdin.on('end', () => server.stdin.end());
let fromServer: Buffer = Buffer.alloc(0);
server.stdout.on('data', (bytes: Buffer) => {
  fromServer = Buffer.concat([fromServer, bytes]);
  const { messages, rest } = takeMessages(fromServer);
  fromServer = rest;
  for (const message of messages) void untilReachable(Number(gatewayPort), certFile !== '').then(() => process.stdout.write(delimit(answerFor(message))));
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.kill('SIGTERM'));
server.stdin.on('error', () => {});
server.once('exit', (code) => process.exit(code ?? 0));

function answerFor(message: Uint8Array): Buffer {
  const moved = withNumber(message, responsePort, Number(gatewayPort));
  return certFile === '' ? moved : withBytes(moved, responseCert, readFileSync(certFile));
}
