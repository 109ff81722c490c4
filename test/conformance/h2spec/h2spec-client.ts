import { createServer } from 'node:net';
import { stripVTControlCharacters } from 'node:util';
import path from 'node:path';
import { runProgram } from '../program.ts';
import { withProxies } from '../proxy-under-test.ts';
import type { CaseNote, Suite, SuiteResult, Wanted } from '../suite.ts';
import { requireTool } from '../tools.ts';

/**
 * h2specd is an upstream that breaks the rules, one port for each case; a gateway with a Route to each port is the client under test. The
 * cases are generic, hence h2spec's own list, not that of the server role.
 */
export const h2specClientSuite: Suite = { name: 'h2spec-client', needs: ['h2specd'], run };

async function* run(wanted: Wanted): AsyncGenerator<SuiteResult> {
  for (const secured of [false, true]) if (wanted(titleOf(secured))) yield await judge(secured);
}

function titleOf(secured: boolean): string {
  return `h2spec, client role, ${secured ? 'TLS' : 'cleartext'}`;
}

function judge(secured: boolean): Promise<SuiteResult> {
  return withProxies(async (proxies) => {
    const firstPort = await freeRange(caseCount);
    const { port } = await proxies.proxy({ upstreamPort: firstPort, protocol: 'http2', documents: routesTo(firstPort, secured) });
    const worker = path.join(import.meta.dirname, 'request-worker.ts');
    const { output } = await runProgram([
      requireTool('h2specd'), '--host', '127.0.0.1', '--from-port', String(firstPort), '--timeout', '1', '--exec', `${process.execPath} ${worker} ${port}`,
      ...(secured ? ['--tls', '--cert-file', proxies.certFile, '--cert-key-file', proxies.keyFile] : []),
    ], { timeoutMs: 300_000 });
    return readOutput(titleOf(secured), output);
  });
}

/** One Service and one Route for each port; the path names it. */
function routesTo(firstPort: number, secured: boolean): string {
  return Array.from({ length: caseCount }, (_, nth) => firstPort + nth).map((port) => [
    `{kind: Service, name: case-${port}, ports: {http: {port: 80, protocol: http2${secured ? ', tls: {verify: none}' : ''}}}, endpoints: [{address: 127.0.0.1, port: ${port}}]}`,
    `{kind: Route, name: case-${port}, gateway: NAME, match: {path: {exact: /${port}}}, to: [{service: case-${port}}]}`,
  ].join('\n---\n')).join('\n---\n');
}

/** h2specd writes no report: its lines are `✔ 1: title`, or `× 1: title` with the reason below, under the titles of sections. */
function readOutput(title: string, output: string): SuiteResult {
  const lines = stripVTControlCharacters(output).split(/\r?\n|\r/);
  const end = lines.findIndex((line) => line.startsWith('Failures:'));
  const failed: CaseNote[] = [];
  let passed = 0;
  let section = '';
  for (const [index, line] of lines.slice(0, end < 0 ? lines.length : end).entries()) {
    const heading = /^\s*(\d+(?:\.\d+)*\. .*)$/.exec(line);
    if (heading !== null) section = heading[1] ?? '';
    if (/✔ \d+: /.test(line)) passed += 1;
    const broken = /× (\d+: .*)$/.exec(line);
    if (broken !== null) failed.push({ name: `${section} ${broken[1] ?? ''}`, why: lines.slice(index + 1, index + 6).map((text) => text.trim()).filter((text) => /^(->|Expected|Actual|Error)/.test(text)).join(' ') });
  }
  if (passed + failed.length < caseCount) failed.push({ name: 'all cases', why: `${passed + failed.length} of ${caseCount} cases ran: ${lines.filter(Boolean).slice(-3).join(' | ')}` });
  return { title, passed, failed, excluded: [] };
}

/** Of version 2.2.1. */
const caseCount = 57;

/** So many ports in a row, below those that the system gives out by itself. */
async function freeRange(count: number): Promise<number> {
  for (let first = 20_000 + (process.pid % 80) * 100; first < 31_000; first += count) {
    const free = await Promise.all(Array.from({ length: count }, (_, nth) => canListen(first + nth)));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`no ${count} free ports in a row`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
