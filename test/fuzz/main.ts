/**
 * `npm run fuzz [-- --seconds 60] [--seed N] [--layer NAME…] [--report FILE]`: generated input against what must hold for any input. The seed is
 * printed; the same seed gives the same cases. What fails is written to `corpus/`, and what is there is replayed first.
 */
import { parseArgs } from 'node:util';
import { writeReport } from '../conformance/report.ts';
import type { SuiteResult } from '../conformance/suite.ts';
import { howToInstall, type ToolName } from '../conformance/tools.ts';
import { keepInCorpus } from './corpus.ts';
import { GatewayLayer } from './gateway-layer.ts';
import { Http1CodecLayer } from './http1/codec-layer.ts';
import { Http1RequestTrial } from './http1/request-trial.ts';
import { Http1ResponseTrial } from './http1/response-trial.ts';
import { Http2RequestTrial } from './http2/request-trial.ts';
import { Http2ResponseTrial } from './http2/response-trial.ts';
import { Http2SessionLayer } from './http2/session-layer.ts';
import type { FuzzLayer } from './layer.ts';
import { MemoryLayer } from './memory/memory-layer.ts';
import { runLayer } from './run-layer.ts';
import { UpgradeTrial } from './upgrades/upgrade-trial.ts';

/** What is tried on a gateway: by processes and sockets, and in memory. */
const trials = {
  'http1-requests': { noun: 'conversations', parallel: 24, witnessed: true, start: Http1RequestTrial.start, protocol: 'http' },
  'http1-responses': { noun: 'connections', parallel: 24, witnessed: false, start: Http1ResponseTrial.start, protocol: 'http' },
  'http2-requests': { noun: 'connections', parallel: 16, witnessed: true, start: Http2RequestTrial.start, protocol: 'http' },
  'http2-responses': { noun: 'requests', parallel: 24, witnessed: false, start: Http2ResponseTrial.start, protocol: 'http2' },
  upgrades: { noun: 'conversations', parallel: 12, witnessed: false, start: UpgradeTrial.start, protocol: 'http' },
  'upgrades-to-http2': { noun: 'conversations', parallel: 12, witnessed: false, start: UpgradeTrial.start, protocol: 'http2' },
} as const;

function byProcesses(name: string, trial: keyof typeof trials, hops: 1 | 2): FuzzLayer {
  const { start, protocol, ...kind } = trials[trial];
  return new GatewayLayer({ ...kind, name, proxy: { hops, protocol }, start: (transport) => start(name, transport) });
}

function inMemory(name: string, trial: keyof typeof trials, between?: 'http/1.1' | 'h2c'): FuzzLayer {
  const { start, ...kind } = trials[trial];
  return new MemoryLayer({ ...kind, ...(between && { between }), name, start: (transport) => start(name, transport) });
}

/** Through two sidecars, once for each version between them. */
function twoHopsInMemory(): Record<string, () => FuzzLayer> {
  return Object.fromEntries((Object.keys(trials) as (keyof typeof trials)[]).flatMap((trial) => ([['http1', 'http/1.1'], ['http2', 'h2c']] as const).map(([word, between]): [string, () => FuzzLayer] => {
    const name = `${trial}-over-${word}-memory`;
    return [name, () => inMemory(name, trial, between)];
  })));
}

const makers: Readonly<Record<string, () => FuzzLayer>> = {
  'http1-codec': () => new Http1CodecLayer(),
  'http1-requests-memory': () => inMemory('http1-requests-memory', 'http1-requests'),
  'http1-requests': () => byProcesses('http1-requests', 'http1-requests', 1),
  'http1-requests-two-hops': () => byProcesses('http1-requests-two-hops', 'http1-requests', 2),
  'http1-responses-memory': () => inMemory('http1-responses-memory', 'http1-responses'),
  'http1-responses': () => byProcesses('http1-responses', 'http1-responses', 1),
  'http2-sessions': () => new Http2SessionLayer(),
  'http2-requests-memory': () => inMemory('http2-requests-memory', 'http2-requests'),
  'http2-requests': () => byProcesses('http2-requests', 'http2-requests', 1),
  'http2-requests-two-hops': () => byProcesses('http2-requests-two-hops', 'http2-requests', 2),
  'http2-responses-memory': () => inMemory('http2-responses-memory', 'http2-responses'),
  'http2-responses': () => byProcesses('http2-responses', 'http2-responses', 1),
  'upgrades-memory': () => inMemory('upgrades-memory', 'upgrades'),
  upgrades: () => byProcesses('upgrades', 'upgrades', 1),
  'upgrades-to-http2-memory': () => inMemory('upgrades-to-http2-memory', 'upgrades-to-http2'),
  'upgrades-to-http2': () => byProcesses('upgrades-to-http2', 'upgrades-to-http2', 1),
  ...twoHopsInMemory(),
};

const { values } = parseArgs({ options: {
  seconds: { type: 'string', default: '60' }, seed: { type: 'string' }, layer: { type: 'string', multiple: true }, 'findings-max': { type: 'string', default: '20' }, report: { type: 'string' },
} });
const names = values.layer ?? Object.keys(makers);
const unknown = names.filter((name) => makers[name] === undefined);
if (unknown.length > 0) {
  console.error(`unknown layer: ${unknown.join(', ')}; there are ${Object.keys(makers).join(', ')}`);
  process.exit(2);
}
const seed = values.seed === undefined ? Math.floor(Math.random() * 0x1_0000_0000) : Number(values.seed) >>> 0;
console.log(`seed ${seed}`);

const results: SuiteResult[] = [];
const notRun = new Set<string>();
let cases = 0;
for (const name of names) {
  const layer = (makers[name] as () => FuzzLayer)();
  const { findings, summary, missing } = await runLayer(layer, { seed, seconds: Number(values.seconds) / names.length, findingsMax: Number(values['findings-max']) });
  for (const tool of missing) notRun.add(`fuzz needs ${tool} as witness: ${howToInstall(tool as ToolName)}`);
  console.log(`${name}: ${summary}: ${findings.length} findings`);
  for (const { entry, problem } of findings) {
    console.log(`  ${problem.slice(0, 2000)}\n    seed ${entry.seed}${entry.bytes === '' ? '' : `, kept in ${keepInCorpus(entry)}: ${JSON.stringify(entry.bytes.slice(0, 600))}`}`);
  }
  results.push({ title: `fuzz ${name}`, passed: findings.length === 0 ? 1 : 0, failed: findings.map(({ entry, problem }) => ({ name: `seed ${entry.seed}`, why: problem })), excluded: [] });
  cases += layer.cases;
}
for (const line of notRun) console.log(`not run: ${line}`);
const failed = results.reduce((sum, result) => sum + result.failed.length, 0);
console.log(`\n${cases} passed, ${failed} failed`);
if (values.report !== undefined) writeReport(values.report, results, [...notRun]);
// A layer that could not begin may have left something that listens.
process.exit(failed > 0 || (notRun.size > 0 && process.env['REMORA_REQUIRE_ALL'] === '1') ? 1 : 0);
