/**
 * `npm run conformance [-- SUITE…] [--only TEXT] [--report FILE]`: external suites against real sidecar processes. Prints for each what passed, and
 * every failure with its reason; `--only` takes the settings whose titles contain the text. What is not installed is listed as not run; with REMORA_REQUIRE_ALL=1 that fails.
 */
import { parseArgs } from 'node:util';
import { connectSuite } from './connect/connect-suite.ts';
import { h2specClientSuite } from './h2spec/h2spec-client.ts';
import { h2specServerSuite } from './h2spec/h2spec-server.ts';
import { llhttpSuite } from './llhttp/llhttp-suite.ts';
import { websocketSuite } from './websocket/websocket-suite.ts';
import { writeReport } from './report.ts';
import type { Suite, SuiteResult } from './suite.ts';
import { howToInstall, toolPath } from './tools.ts';

const suites: readonly Suite[] = [llhttpSuite, h2specServerSuite, h2specClientSuite, connectSuite, websocketSuite];

const { values, positionals } = parseArgs({ allowPositionals: true, options: { report: { type: 'string' }, only: { type: 'string' }, help: { type: 'boolean', default: false } } });
const unknown = positionals.filter((name) => !suites.some((suite) => suite.name === name));
if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`unknown suite: ${unknown.join(', ')}`);
  console.log(`suites: ${suites.map(({ name }) => name).join(', ')}`);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const results: SuiteResult[] = [];
const notRun: string[] = [];
for (const suite of suites.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  const missing = suite.needs.filter((tool) => toolPath(tool) === null);
  if (missing.length > 0) notRun.push(`${suite.name} needs ${missing.join(', ')}: ${howToInstall(missing[0] ?? 'nginx')}`);
  else results.push(...await runSuite(suite));
}
const failed = results.reduce((sum, result) => sum + result.failed.length, 0);
const passed = results.reduce((sum, result) => sum + result.passed, 0);
for (const line of notRun) console.log(`not run: ${line}`);
console.log(`\n${passed} passed, ${failed} failed`);
if (values.report !== undefined) writeReport(values.report, results, notRun);
// A suite that could not begin may have left something that listens.
process.exit(failed > 0 || passed === 0 || (notRun.length > 0 && process.env['REMORA_REQUIRE_ALL'] === '1') ? 1 : 0);

async function runSuite(suite: Suite): Promise<readonly SuiteResult[]> {
  const started = performance.now();
  const done: SuiteResult[] = [];
  try {
    for await (const result of suite.run((title) => values.only === undefined || title.includes(values.only))) {
      print(result);
      done.push(result);
    }
  } catch (error) {
    const broken = { title: suite.name, passed: 0, failed: [{ name: suite.name, why: `the suite did not run on: ${String(error)}` }], excluded: [] };
    print(broken);
    done.push(broken);
  }
  console.log(`  (${suite.name}: ${((performance.now() - started) / 1000).toFixed(1)} s)`);
  return done;
}

function print({ title, passed, failed, excluded }: SuiteResult): void {
  console.log(`${title}: ${passed} passed, ${failed.length} failed${excluded.length > 0 ? `, ${excluded.length} excluded` : ''}`);
  for (const { name, why } of failed) console.log(`  failed    ${name}\n            ${why}`);
  for (const { name, why } of excluded) console.log(`  excluded  ${name}\n            ${why}`);
}
