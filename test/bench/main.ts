/** `npm run -s bench -- NAME [--quick] [--json] [--flag value …]`: one benchmark, its bars, and the peers beside it. */
import type { Bench, BenchDocument, BenchRow } from './bench-document.ts';

const benches: Readonly<Record<string, { readonly why: string; readonly load: () => Promise<Bench> }>> = {
  push: { why: 'one edit to 1,000 or 5,000 sidecars (--sidecars N)', load: async () => (await import('./push.ts')).run },
  endpoints: { why: 'an instance comes or goes, until 1,000 callers know (--sidecars N)', load: async () => (await import('./endpoints.ts')).run },
  edit: { why: 'answer of a write until requests see it', load: async () => (await import('./edit.ts')).run },
  compile: { why: 'cold and incremental compilation of 1,000 services', load: async () => (await import('./compile.ts')).run },
  store: { why: 'durable writes and large applies', load: async () => (await import('./store.ts')).run },
  sidecar: { why: 'memory, start from disk, stalls', load: async () => (await import('./sidecar.ts')).run },
  proxy: { why: 'CPU per proxied request beside nginx and Envoy', load: async () => (await import('./proxy.ts')).run },
  identity: { why: 'two sidecars with mTLS between, beside two Envoys', load: async () => (await import('./identity.ts')).run },
  resilience: { why: 'balancing, limits of the fleet, and what else the caller does (--group A,B)', load: async () => (await import('./resilience.ts')).run },
  connections: { why: 'memory of idle connections', load: async () => (await import('./connections.ts')).run },
  chaos: { why: 'p99 of clients beside others that misbehave', load: async () => (await import('./chaos.ts')).run },
  kinds: { why: 'cost of each policy kind per request', load: async () => (await import('./kinds.ts')).run },
};

function parseArguments(words: readonly string[]): { name: string; json: boolean; quick: boolean; flags: Record<string, string> } {
  const flags: Record<string, string> = {};
  let name = '';
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (word === '--json' || word === '--quick') continue;
    if (word.startsWith('--')) flags[word.slice(2)] = words[++i] ?? '';
    else name = word;
  }
  return { name, json: words.includes('--json'), quick: words.includes('--quick'), flags };
}

function formatRow(row: BenchRow): string {
  const verdict = row.ok === null ? '' : row.ok ? 'met' : 'MISSED';
  const peers = Object.entries(row.peers ?? {}).map(([name, value]) => `${name} ${value}`).join(', ');
  return `  ${row.what.padEnd(64)} ${String(row.value).padStart(10)} ${row.unit.padEnd(8)} ${row.bar.padEnd(24)} ${verdict}${peers ? `  [${peers}]` : ''}${row.note ? `  ${row.note}` : ''}`;
}

function print(document: BenchDocument, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(document)}\n`);
    return;
  }
  const { cpu, cores, memoryGiB, node, kernel } = document.machine;
  process.stdout.write(`${document.bench} — ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}, Linux ${kernel}\n${document.rows.map(formatRow).join('\n')}\n`);
}

// Whoever is interrupted ends as usual: what was started ends with it, and what was written goes.
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) process.once(signal, () => process.exit(code));
const { name, json, quick, flags } = parseArguments(process.argv.slice(2));
const bench = benches[name];
if (!bench) {
  process.stderr.write(`bench NAME [--quick] [--json]; names:\n${Object.entries(benches).map(([key, { why }]) => `  ${key.padEnd(10)} ${why}`).join('\n')}\n`);
  process.exitCode = 2;
} else {
  const document = await (await bench.load())({ quick, flags });
  print(document, json);
  process.exitCode = document.rows.some((row) => row.ok === false) ? 1 : 0;
}
