import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import { runProgram } from '../program.ts';
import { withProxies } from '../proxy-under-test.ts';
import type { CaseNote, Suite, SuiteResult, Wanted } from '../suite.ts';
import { requireTool } from '../tools.ts';

/**
 * The conformance suite of connectrpc.com with its reference client and server, through one sidecar and through two. As the server under
 * test (strict client, cases of servers) and as the client under test (strict server, cases of clients, among them answers that break the
 * rules). There is no list of known failures.
 */
export const connectSuite: Suite = { name: 'connect', needs: ['connectconformance', 'referenceclient', 'referenceserver'], run };

interface Setting {
  readonly mode: 'client' | 'server';
  readonly hops: 1 | 2;
  readonly version: 1 | 2;
  /** Between client and gateway, and between the last sidecar and the server where the server is the runner's. */
  readonly secured: boolean;
}

/** A sidecar speaks to its own app without TLS: as the client under test over TLS, only the gateway is before the runner's server. */
const settings: readonly Setting[] = ([1, 2] as const).flatMap((hops) => ([1, 2] as const).flatMap((version) => [false, true].flatMap((secured) => (['server', 'client'] as const)
  .filter((mode) => !(secured && hops === 2 && mode === 'client')).map((mode): Setting => ({ mode, hops, version, secured })))));

async function* run(wanted: Wanted): AsyncGenerator<SuiteResult> {
  for (const setting of settings.filter((one) => wanted(titleOf(one)))) yield await judge(setting);
}

function titleOf({ mode, hops, version, secured }: Setting): string {
  const protocol = version === 1 ? (secured ? 'HTTP/1.1 over TLS' : 'HTTP/1.1') : secured ? 'h2 over TLS' : 'h2c';
  return `connect, ${mode} role, ${protocol}, ${hops === 1 ? 'one sidecar' : 'two sidecars'}`;
}

function judge(setting: Setting): Promise<SuiteResult> {
  const { mode, hops, version, secured } = setting;
  return withProxies(async (proxies) => {
    const upstreamPort = await freePort();
    const { port } = await proxies.proxy({
      upstreamPort, hops, secured, upstreamSecured: secured && mode === 'client', protocol: version === 1 ? 'http' : 'http2', documents: patience,
    });
    const folder = mkdtempSync(path.join(tmpdir(), 'remora-connect-'));
    try {
      const config = path.join(folder, 'config.yaml');
      writeFileSync(config, features(setting));
      const gateway = [String(port), ...(secured ? [proxies.certFile] : [])];
      const under = mode === 'server'
        ? [path.join(import.meta.dirname, 'server-worker.ts'), requireTool('referenceserver'), String(upstreamPort), ...gateway]
        : [path.join(import.meta.dirname, 'client-worker.ts'), requireTool('referenceclient'), ...gateway];
      const flags = mode === 'server' ? ['--max-servers', '1'] : ['--port', String(upstreamPort)];
      const { code, output } = await runProgram([requireTool('connectconformance'), '--mode', mode, '--conf', config, ...flags, '--', process.execPath, ...under], { timeoutMs: 600_000 });
      return readOutput(titleOf(setting), code, output);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** Cases of their own limits decide, not ours. */
const patience = '{kind: Policy, name: NAME-patience, target: {gateway: NAME}, timeout: {request: 60s, idle: 60s}}';

/** TLS alone or cleartext alone: the other is a setting of its own. */
function features({ version, secured }: Setting): string {
  return JSON.stringify({
    features: {
      versions: [`HTTP_VERSION_${version}`],
      // gRPC is HTTP/2 only.
      protocols: ['PROTOCOL_CONNECT', 'PROTOCOL_GRPC_WEB', ...(version === 2 ? ['PROTOCOL_GRPC'] : [])],
      codecs: ['CODEC_PROTO', 'CODEC_JSON'],
      compressions: ['IDENTITY', 'GZIP', 'BR', 'ZSTD', 'DEFLATE', 'SNAPPY'].map((name) => `COMPRESSION_${name}`),
      supportsH2c: version === 2 && !secured,
      supportsTls: secured,
      supportsHalfDuplexBidiOverHttp1: true,
    },
    ...(secured && { exclude_cases: [{ use_tls: false }] }),
  });
}

function readOutput(title: string, code: number | null, output: string): SuiteResult {
  const failed: CaseNote[] = output.split(/^FAILED: /m).slice(1).map((block) => {
    const [first = '', ...rest] = block.split('\n');
    const why = rest.slice(0, Math.max(1, rest.findIndex((line) => !/^\s/.test(line)))).map((line) => line.trim()).join(' ');
    return { name: first.replace(/:$/, ''), why: why.slice(0, 1000) };
  });
  const total = /^(\d+) passed, (\d+) failed/m.exec(output);
  if (total === null || /could not be run/.test(output) || Number(total[2]) !== failed.length || (code !== 0 && failed.length === 0)) {
    failed.push({ name: 'all cases', why: `connectconformance ended with ${code}: ${output.split('\n').filter(Boolean).slice(-4).join(' | ').slice(0, 1500)}` });
  }
  return { title, passed: Number(total?.[1] ?? 0), failed, excluded: [] };
}
