import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RawClient } from '../../processes/raw-client.ts';
import { runProgram } from '../program.ts';
import { withProxies } from '../proxy-under-test.ts';
import type { CaseNote, Suite, SuiteResult, Wanted } from '../suite.ts';
import { requireTool } from '../tools.ts';
import { droppedFor } from './dropped-cases.ts';
import { readJunitReport } from './junit-report.ts';

/** h2spec as client of a gateway: our server role. Strict cases included. */
export const h2specServerSuite: Suite = { name: 'h2spec-server', needs: ['h2spec'], run };

async function* run(wanted: Wanted): AsyncGenerator<SuiteResult> {
  const app = await startApp();
  const { port: upstreamPort } = app.address() as AddressInfo;
  try {
    if (wanted(cleartext)) {
      yield await withProxies(async (proxies) => {
        const { port } = await proxies.proxy({ upstreamPort });
        return closesAfterPreface(await judge(cleartext, port, []), port);
      });
    }
    if (wanted(overTls)) {
      yield await withProxies(async (proxies) => {
        const { port } = await proxies.proxy({ upstreamPort, secured: true });
        return judge(overTls, port, ['--tls', '--insecure']);
      });
    }
  } finally {
    app.closeAllConnections();
    app.close();
  }
}

const cleartext = 'h2spec, server role, cleartext';
const overTls = 'h2spec, server role, TLS';

/** h2spec wants a body of some bytes, for flow control. */
async function startApp(): Promise<Server> {
  const app = createServer((request, response) => {
    request.resume();
    response.setHeader('content-type', 'text/plain').end('h2spec wants a body of a few bytes');
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  return app;
}

/**
 * On a port that speaks both versions, what is no HTTP/2 preface is HTTP/1.1: it gets a 400 of that version, then the end. h2spec takes the 400 for a broken
 * frame and does not see the end, which is all that it asks for; so that is looked at here.
 */
async function closesAfterPreface(result: SuiteResult, port: number): Promise<SuiteResult> {
  const misjudged = result.failed.find(({ name, why }) => name === 'http2/3.5: Sends invalid connection preface' && why.includes('HTTP/1.1 header'));
  if (misjudged === undefined) return result;
  const client = await RawClient.open(port);
  client.write('INVALID CONNECTION PREFACE\r\n\r\n');
  await client.untilClosed();
  if (client.status !== 400) return result;
  const why = 'passed as judged here: the connection ends, behind an HTTP/1.1 400 that h2spec cannot read (RFC 9113 section 3.4 asks for the end)';
  return { ...result, failed: result.failed.filter((note) => note !== misjudged), excluded: [...result.excluded, { name: misjudged.name, why }] };
}

async function judge(title: string, port: number, flags: readonly string[]): Promise<SuiteResult> {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-h2spec-'));
  const report = path.join(folder, 'report.xml');
  try {
    await runProgram([requireTool('h2spec'), '--strict', '--host', '127.0.0.1', '--port', String(port), '--timeout', '2', '--junit-report', report, ...flags], { timeoutMs: 400_000 });
    const cases = readJunitReport(report);
    const failed: CaseNote[] = [];
    const excluded: CaseNote[] = [];
    for (const { name, failure, skipped } of cases) {
      const dropped = droppedFor(name);
      if (dropped !== undefined) excluded.push(dropped);
      else if (failure !== '' || skipped) failed.push({ name, why: failure === '' ? 'skipped by h2spec' : failure });
    }
    if (cases.length < casesMin) failed.push({ name: 'all cases', why: `the report has ${cases.length} cases instead of at least ${casesMin}` });
    return { title, passed: Math.max(0, cases.length - failed.length - excluded.length), failed, excluded };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of version 2.2.1 with strict cases: fewer means that something did not run. */
const casesMin = 146;
