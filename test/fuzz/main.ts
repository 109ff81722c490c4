/**
 * `npm run fuzz [-- --seconds 60] [--seed N] [--layer NAME]`: generated input against what must hold for any input. The seed is printed; the
 * same seed gives the same cases. What fails is written to `corpus/`, and what is there is replayed first.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Http1CodecLayer } from './http1/codec-layer.ts';
import { Http1RequestLayer } from './http1/request-layer.ts';
import { Http1ResponseLayer } from './http1/response-layer.ts';
import { Http2RequestLayer } from './http2/request-layer.ts';
import { Http2SessionLayer } from './http2/session-layer.ts';
import type { CorpusEntry, FuzzFinding, FuzzLayer } from './layer.ts';

const makers: Readonly<Record<string, () => FuzzLayer>> = {
  'http1-codec': () => new Http1CodecLayer(),
  'http1-requests': () => new Http1RequestLayer(),
  'http1-responses': () => new Http1ResponseLayer(),
  'http2-sessions': () => new Http2SessionLayer(),
  'http2-requests': () => new Http2RequestLayer(),
};

const { values } = parseArgs({ options: {
  seconds: { type: 'string', default: '60' }, seed: { type: 'string' }, layer: { type: 'string', multiple: true }, 'findings-max': { type: 'string', default: '20' }, replay: { type: 'boolean', default: false },
} });
const names = values.layer ?? Object.keys(makers);
const unknown = names.filter((name) => makers[name] === undefined);
if (unknown.length > 0) {
  console.error(`unknown layer: ${unknown.join(', ')}; there are ${Object.keys(makers).join(', ')}`);
  process.exit(2);
}
const seed = values.seed === undefined ? Math.floor(Math.random() * 0x1_0000_0000) : Number(values.seed) >>> 0;
const secondsEach = values.replay ? 0 : Number(values.seconds) / names.length;
const findingsMax = Number(values['findings-max']);
const corpusFolder = path.join(import.meta.dirname, 'corpus');
console.log(`seed ${seed}`);

let passed = 0;
let failed = 0;
const notRun: string[] = [];
for (const name of names) {
  const layer = (makers[name] as () => FuzzLayer)();
  const missing = await layer.begin();
  notRun.push(...missing.map((tool) => `${name} without ${tool}`));
  const findings = new Map<string, FuzzFinding>();
  const keep = (found: readonly FuzzFinding[]): void => found.forEach((finding) => findings.set(finding.entry.name, finding));
  for (const entry of readCorpus(name)) keep(await layer.replay(entry));
  const end = performance.now() + secondsEach * 1000;
  for (let round = 0; performance.now() < end && findings.size < findingsMax; round++) keep(await layer.round((seed + round * 1_000_003) >>> 0));
  const last = await layer.end();
  keep(last.findings);
  console.log(`${name}: ${last.summary}: ${findings.size} findings`);
  for (const finding of findings.values()) report(finding);
  passed += layer.cases;
  failed += findings.size;
}
for (const line of notRun) console.log(`not run: ${line}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || (notRun.length > 0 && process.env['REMORA_REQUIRE_ALL'] === '1') ? 1 : 0;

function readCorpus(layer: string): CorpusEntry[] {
  return readdirSync(corpusFolder).filter((file) => file.endsWith('.json')).sort()
    .map((file) => JSON.parse(readFileSync(path.join(corpusFolder, file), 'utf8')) as CorpusEntry).filter((entry) => entry.layer === layer);
}

function report({ entry, problem }: FuzzFinding): void {
  const file = path.join(corpusFolder, `${entry.layer}-${entry.name}.json`);
  mkdirSync(corpusFolder, { recursive: true });
  writeFileSync(file, `${JSON.stringify(entry, null, 2)}\n`);
  console.log(`  ${problem}\n    seed ${entry.seed}, kept in ${path.relative(process.cwd(), file)}: ${JSON.stringify(entry.bytes.slice(0, 600))}`);
}
