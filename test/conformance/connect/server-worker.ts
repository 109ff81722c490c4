/**
 * What connectconformance starts as the server under test: the reference server on a fixed port (first argument after its path), of which
 * it tells the runner the gateway's port instead.
 */
import { spawn } from 'node:child_process';
import { delimit, readNumber, takeMessages, withNumber } from './delimited.ts';
import { untilReachable } from './reachable.ts';

const [referenceServer = '', upstreamPort = '', http1Port = '', http2Port = ''] = process.argv.slice(2);
const responsePort = 2;
const requestHttpVersion = 2;

const server = spawn(referenceServer, ['-port', upstreamPort], { stdio: ['pipe', 'pipe', 'inherit'] });
let httpVersion = 0;
let fromRunner: Buffer = Buffer.alloc(0);
process.stdin.on('data', (bytes: Buffer) => {
  fromRunner = Buffer.concat([fromRunner, bytes]);
  const { messages, rest } = takeMessages(fromRunner);
  fromRunner = rest;
  for (const message of messages) {
    httpVersion = readNumber(message, requestHttpVersion);
    server.stdin.write(delimit(message));
  }
});
process.stdin.on('end', () => server.stdin.end());
let fromServer: Buffer = Buffer.alloc(0);
server.stdout.on('data', (bytes: Buffer) => {
  fromServer = Buffer.concat([fromServer, bytes]);
  const { messages, rest } = takeMessages(fromServer);
  fromServer = rest;
  for (const message of messages) {
    const port = Number(httpVersion === 2 ? http2Port : http1Port);
    void untilReachable(port).then(() => process.stdout.write(delimit(withNumber(message, responsePort, port))));
  }
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.kill('SIGTERM'));
server.stdin.on('error', () => {});
server.once('exit', (code) => process.exit(code ?? 0));
