import type { Socket } from 'node:net';
import { cut, RawClient } from '../../processes/raw-client.ts';
import { onHead, okAnswer, RawUpstream } from '../../processes/raw-upstream.ts';
import { RecordingApp } from '../../processes/recording-app.ts';
import { until } from '../../processes/until.ts';
import { withProxies, type ProxiesUnderTest } from '../proxy-under-test.ts';
import type { CaseNote, Suite, SuiteResult, Wanted } from '../suite.ts';
import { inProcessTitle, runInProcess } from './in-process.ts';
import { readLlhttpCases, type LlhttpCase } from './llhttp-case.ts';

/** llhttp's own 251 messages: what it refuses when strict, we refuse; in process at every cut, and by a gateway over sockets. */
export const llhttpSuite: Suite = { name: 'llhttp', needs: [], run };

async function* run(wanted: Wanted): AsyncGenerator<SuiteResult> {
  const cases = readLlhttpCases();
  const refused = cases.filter((one) => one.strict && one.expect === 'reject');
  if (wanted(inProcessTitle)) yield runInProcess(cases);
  if (wanted(requestsTitle)) yield await withProxies((proxies) => judgeRequests(proxies, refused.filter((one) => one.mode === 'request')));
  if (wanted(responsesTitle)) yield await withProxies((proxies) => judgeResponses(proxies, refused.filter((one) => one.mode === 'response')));
}

const requestsTitle = 'llhttp, requests over sockets';
const responsesTitle = 'llhttp, responses over sockets';

async function judgeRequests(proxies: ProxiesUnderTest, cases: readonly LlhttpCase[]): Promise<SuiteResult> {
  const app = await RecordingApp.start();
  const { port } = await proxies.proxy({ upstreamPort: app.port });
  const result = await collect(requestsTitle, cases, (one) => refusesRequest(one, port, app));
  await app.close();
  return result;
}

async function judgeResponses(proxies: ProxiesUnderTest, cases: readonly LlhttpCase[]): Promise<SuiteResult> {
  const upstream = await RawUpstream.start(() => {});
  const { port } = await proxies.proxy({ upstreamPort: upstream.port });
  const result = await collect(responsesTitle, cases, (one) => refusesResponse(one, port, upstream));
  await upstream.close();
  return result;
}

async function collect(title: string, cases: readonly LlhttpCase[], judge: (one: LlhttpCase) => Promise<string>): Promise<SuiteResult> {
  const failed: CaseNote[] = [];
  for (const one of cases) {
    const why = await judge(one).catch((error: unknown) => String(error));
    if (why !== '') failed.push({ name: one.id, why });
  }
  return { title, passed: cases.length - failed.length, failed, excluded: [] };
}

/** Whole, byte by byte, and at a few places. Empty, or what went wrong. */
async function refusesRequest(one: LlhttpCase, port: number, app: RecordingApp): Promise<string> {
  for (const pieces of someCuts(one.bytes)) {
    const before = app.complete.length;
    const client = await RawClient.open(port);
    await client.writePieces(pieces);
    client.socket.end();
    await client.untilClosed();
    const answers = [...client.text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status)).filter((status) => status >= 200);
    const served = answers.filter((status) => status < 400).length;
    const reached = app.complete.length - before;
    if (served > one.messages || reached > one.messages) return `${pieces.length} pieces: answers ${answers.join(' ')}, ${reached} requests reached the upstream`;
    if (app.unreadable.length > 0) return `${pieces.length} pieces: the upstream could not read what came: ${app.unreadable.splice(0).join(', ')}`;
  }
  return '';
}

/** What an upstream may not answer ends with 502, or with a connection cut behind the head; never as a complete answer. */
async function refusesResponse(one: LlhttpCase, port: number, upstream: RawUpstream): Promise<string> {
  for (const pieces of someCuts(one.bytes)) {
    const sent: Socket[] = [];
    upstream.behave = onHead((socket, _head, nth) => {
      if (nth > 0) return;
      sent.push(socket);
      void dripOut(socket, pieces);
    });
    upstream.drop();
    const client = await RawClient.open(port);
    client.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    const ended = await client.untilClosed();
    if (one.messages === 0 && client.status !== 502 && ended === 'end' && client.status !== 0) return `${pieces.length} pieces: ${client.text.slice(0, 80)}`;
    await until('the upstream connection is gone', () => sent.every((socket) => socket.destroyed), (gone) => gone);
  }
  upstream.behave = onHead((socket) => socket.write(okAnswer));
  return '';
}

async function dripOut(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return;
    socket.write(piece);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  socket.end();
}

function* someCuts(bytes: Uint8Array): Generator<readonly Uint8Array[]> {
  yield [bytes];
  for (const at of [1, bytes.length >> 2, bytes.length >> 1, bytes.length - 1]) yield cut(bytes, [at]);
  yield Array.from(bytes, (byte) => Uint8Array.of(byte));
}
