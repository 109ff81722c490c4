import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../../processes/peers.ts';
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
}

const versions = [1, 2] as const;

async function run(wanted: Wanted): Promise<readonly SuiteResult[]> {
  const settings = ([1, 2] as const).flatMap((hops) => versions.flatMap((version) => (['server', 'client'] as const).map((mode): Setting => ({ mode, hops, version }))));
  const results: SuiteResult[] = [];
  for (const setting of settings.filter((one) => wanted(titleOf(one)))) results.push(await judge(setting));
  return results;
}

function titleOf({ mode, hops, version }: Setting): string {
  return `connect, ${mode} role, ${version === 1 ? 'HTTP/1.1' : 'h2c'}, ${hops === 1 ? 'one sidecar' : 'two sidecars'}`;
}

function judge(setting: Setting): Promise<SuiteResult> {
  const { mode, hops, version } = setting;
  const title = titleOf(setting);
  return withProxies(async (proxies) => {
    const upstreamPort = await freePort();
    const { port } = await proxies.proxy({ upstreamPort, hops, protocol: version === 1 ? 'http' : 'http2', documents: patience });
    const folder = mkdtempSync(path.join(tmpdir(), 'remora-connect-'));
    try {
      const config = path.join(folder, 'config.yaml');
      writeFileSync(config, features(version));
      const under = mode === 'server'
        ? [path.join(import.meta.dirname, 'server-worker.ts'), requireTool('referenceserver'), String(upstreamPort), String(port), String(port)]
        : [path.join(import.meta.dirname, 'client-worker.ts'), requireTool('referenceclient'), String(port), String(port)];
      const flags = mode === 'server' ? ['--max-servers', '1'] : ['--port', String(upstreamPort)];
      const { code, output } = await runProgram([requireTool('connectconformance'), '--mode', mode, '--conf', config, ...flags, '--', process.execPath, ...under], { timeoutMs: 600_000 });
      return readOutput(title, code, output);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** Cases of their own limits decide, not ours. */
const patience = '{kind: Policy, name: NAME-patience, target: {gateway: NAME}, timeout: {request: 60s, idle: 60s}}';

function features(version: 1 | 2): string {
  return JSON.stringify({
    features: {
      versions: [`HTTP_VERSION_${version}`],
      // gRPC is HTTP/2 only.
      protocols: ['PROTOCOL_CONNECT', 'PROTOCOL_GRPC_WEB', ...(version === 2 ? ['PROTOCOL_GRPC'] : [])],
      codecs: ['CODEC_PROTO', 'CODEC_JSON'],
      compressions: ['IDENTITY', 'GZIP', 'BR', 'ZSTD', 'DEFLATE', 'SNAPPY'].map((name) => `COMPRESSION_${name}`),
      supportsH2c: version === 2,
      supportsTls: false,
      supportsHalfDuplexBidiOverHttp1: true,
    },
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
