/** `npm run -s bench -- NAME [--quick] [--json] [--markdown] [--help] [--flag value …]`: one benchmark, its bars, and the peers beside it. */
import type { Bench, BenchDocument, BenchRow, BenchTable } from './bench-document.ts';

interface BenchModule {
  readonly run: Bench;
  /** Its own flags, a line each. */
  readonly help?: string;
}

const benches: Readonly<Record<string, { readonly why: string; readonly load: () => Promise<BenchModule> }>> = {
  push: { why: 'one edit to 1,000 or 5,000 sidecars (--sidecars N)', load: () => import('./push.ts') },
  endpoints: { why: 'an instance comes or goes, until 1,000 callers know (--sidecars N)', load: () => import('./endpoints.ts') },
  edit: { why: 'answer of a write until requests see it', load: () => import('./edit.ts') },
  compile: { why: 'cold and incremental compilation of 1,000 services', load: () => import('./compile.ts') },
  store: { why: 'durable writes and large applies', load: () => import('./store.ts') },
  sidecar: { why: 'memory, start from disk, stalls', load: () => import('./sidecar.ts') },
  proxy: { why: 'CPU per proxied request beside nginx and Envoy', load: () => import('./proxy.ts') },
  identity: { why: 'two sidecars with mTLS between, beside two Envoys', load: () => import('./identity.ts') },
  resilience: { why: 'balancing, limits of the fleet, and what else the caller does (--group A,B)', load: () => import('./resilience.ts') },
  connections: { why: 'memory of idle connections', load: () => import('./connections.ts') },
  chaos: { why: 'p99 of clients beside others that misbehave', load: () => import('./chaos.ts') },
  kinds: { why: 'cost of each policy kind per request', load: () => import('./kinds.ts') },
};

const switches = ['--json', '--quick', '--markdown', '--help'];

function parseArguments(words: readonly string[]): { name: string; json: boolean; quick: boolean; markdown: boolean; help: boolean; flags: Record<string, string> } {
  const flags: Record<string, string> = {};
  let name = '';
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (switches.includes(word)) continue;
    if (word.startsWith('--')) flags[word.slice(2)] = words[++i] ?? '';
    else name = word;
  }
  const [json = false, quick = false, markdown = false, help = false] = switches.map((one) => words.includes(one));
  return { name, json, quick, markdown, help, flags };
}

function formatRow(row: BenchRow): string {
  const verdict = row.ok === null ? '' : row.ok ? 'met' : 'MISSED';
  const peers = Object.entries(row.peers ?? {}).map(([name, value]) => `${name} ${value}`).join(', ');
  return `  ${row.what.padEnd(64)} ${valueText(row).padStart(10)} ${row.unit.padEnd(8)} ${row.bar.padEnd(24)} ${verdict}${peers ? `  [${peers}]` : ''}${row.note ? `  ${row.note}` : ''}`;
}

/** What did not happen has no value. */
function valueText({ value }: Pick<BenchRow, 'value'>): string {
  return Number.isNaN(value) ? '—' : String(value);
}

/** As `docs/benchmarks.md` has them. */
function markdownRows(rows: readonly BenchRow[]): string {
  return markdownTable({
    head: ['what', 'measured', 'bar', ''],
    cells: rows.map(({ what, value, unit, bar, ok, peers, note }) => {
      const others = Object.entries(peers ?? {}).map(([name, theirs]) => `; ${name} ${theirs}`).join('');
      return [what, `${valueText({ value })}${unit === '' ? '' : ` ${unit}`}${others}${note === undefined ? '' : ` (${note})`}`, bar, ok === null ? '' : ok ? 'met' : '**missed**'];
    }),
  });
}

function markdownTable({ head, cells }: BenchTable): string {
  return [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

function print(document: BenchDocument): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(document)}\n`);
    return;
  }
  if (markdown) {
    process.stdout.write(`${[markdownRows(document.rows), ...(document.tables ?? []).map(markdownTable)].join('\n\n')}\n`);
    return;
  }
  const { cpu, cores, memoryGiB, node, kernel } = document.machine;
  process.stdout.write(`${document.bench} — ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}, Linux ${kernel}\n${document.rows.map(formatRow).join('\n')}\n${(document.tables ?? []).map((table) => `\n${markdownTable(table)}\n`).join('')}`);
}

// Whoever is interrupted ends as usual: what was started ends with it, and what was written goes.
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) process.once(signal, () => process.exit(code));
const { name, json, quick, markdown, help, flags } = parseArguments(process.argv.slice(2));
const bench = benches[name];
if (!bench) {
  process.stderr.write(`bench NAME [--quick] [--json] [--markdown] [--help]; names:\n${Object.entries(benches).map(([key, { why }]) => `  ${key.padEnd(10)} ${why}`).join('\n')}\n`);
  process.exitCode = 2;
} else if (help) {
  process.stdout.write(`${name}: ${bench.why}\n${(await bench.load()).help ?? '  --quick: shorter'}\n  --json: one document; --markdown: tables to paste\n`);
} else {
  const document = await (await bench.load()).run({ quick, flags });
  print(document);
  process.exitCode = document.rows.some((row) => row.ok === false) ? 1 : 0;
}
