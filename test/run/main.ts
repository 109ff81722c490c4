/**
 * `npm test`: everything that this machine can run, and at the end what passed, what failed and what could not run. With
 * REMORA_REQUIRE_ALL=1 nothing may be missing.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { missingCapabilities } from './capabilities.ts';
import { addUp, emptyTally, readReport, type Tally } from './tally.ts';

const root = path.resolve(import.meta.dirname, '../..');
const results = path.join(root, 'dist/test-results');

interface Stage {
  readonly name: string;
  readonly command: readonly string[];
  /** Where vitest writes its report; without one the stage counts as one test. */
  readonly reports: string | null;
}

/** A run of everything tells what a change broke, so it begins where the last one did; `npm run fuzz` looks for what is new. */
const fuzzSeed = '20261122';

const stages: readonly Stage[] = [
  { name: 'unit tests, per workspace', command: ['nx', 'run-many', '-t', 'test', '--parallel=2', '--outputStyle=static'], reports: 'per-project' },
  { name: 'bundles, which the end-to-end tests run', command: ['node', 'deploy/bundle.ts'], reports: null },
  {
    name: 'repository checks, end to end, simulator',
    command: ['vitest', 'run', '--config', 'vitest.whole.config.ts', '--reporter=default', '--reporter=json', '--outputFile.json=dist/test-results/whole.json'],
    reports: 'whole.json',
  },
  { name: 'external suites', command: ['node', 'test/conformance/main.ts', '--report', 'dist/test-results/conformance.json'], reports: 'conformance.json' },
  { name: 'fuzzing, a minute', command: ['node', 'test/fuzz/main.ts', '--seconds', '60', '--seed', fuzzSeed, '--report', 'dist/test-results/fuzz.json'], reports: 'fuzz.json' },
  { name: 'demo', command: ['node', 'deploy/demo/main.ts', '--once'], reports: null },
];

async function runStage(stage: Stage): Promise<Tally> {
  process.stdout.write(`\n== ${stage.name}\n`);
  const code = await new Promise<number>((resolve) => {
    const child = spawn(stage.command[0] ?? '', stage.command.slice(1), {
      cwd: root, stdio: 'inherit', env: { ...process.env, NX_DAEMON: 'false', PATH: `${path.join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` },
    });
    child.once('error', (error) => {
      process.stdout.write(`${stage.name}: ${error.message}\n`);
      resolve(127);
    });
    child.once('close', (status) => resolve(status ?? 1));
  });
  if (stage.reports === null) return { ...emptyTally, passed: code === 0 ? 1 : 0, failed: code === 0 ? [] : [`${stage.name}: exit code ${code}`] };
  const reports = stage.reports === 'per-project' ? readdirSync(results, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.json')) : [stage.reports];
  const tally = addUp(reports.map((file) => readReport(path.join(results, file))));
  if (code !== 0 && tally.failed.length === 0) return { ...tally, failed: [`${stage.name}: exit code ${code} without a failed test`] };
  return tally.passed === 0 ? { ...tally, failed: [...tally.failed, `${stage.name}: no test ran`] } : tally;
}

rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });
const tallies: Tally[] = [];
for (const stage of stages) tallies.push(await runStage(stage));
const total = addUp(tallies);
const missing = missingCapabilities();
if (missing.length > 0) process.stdout.write(`\nnot installed here:\n${missing.map((line) => `  ${line}`).join('\n')}\n`);
if (total.notRun.length > 0) process.stdout.write(`\nnot run:\n${total.notRun.map((line) => `  ${line}`).join('\n')}\n`);
if (total.failed.length > 0) process.stdout.write(`\nfailed:\n${total.failed.map((line) => `  ${line}`).join('\n')}\n`);
process.stdout.write(`\n${total.passed} passed, ${total.failed.length} failed${total.notRun.length > 0 ? `, ${total.notRun.length} skipped` : ''}\n`);
const incomplete = process.env['REMORA_REQUIRE_ALL'] === '1' && (total.notRun.length > 0 || missing.length > 0);
process.exitCode = total.failed.length > 0 || incomplete ? 1 : 0;
