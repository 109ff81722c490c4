import { Option } from 'commander';
import type { Command } from 'commander';
import type { TopAnswer } from '../api-shapes.ts';
import { bytesText, spanText } from '../age-text.ts';
import { integerOption } from '../integer-option.ts';
import { addApiOptions, durationOption } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

interface TopOptions {
  readonly by: string;
  readonly sort: string;
  readonly window: number;
  readonly limit: number;
  readonly watch?: boolean;
}

const refreshMs = 2_000;

/** `remora top`: requests, errors and latency of the last minute, the busiest first. */
export function addTop(program: Command, run: Runner): void {
  const command = program
    .command('top')
    .description('show requests, errors and latency, the busiest first')
    .addOption(new Option('--by <what>', 'one row for each').choices(['subject', 'route', 'edge', 'sidecar']).default('subject'))
    .addOption(new Option('--sort <column>', 'largest first').choices(['requests', 'errors', 'p99']).default('requests'))
    .addOption(new Option('--window <time>', 'over this time, 10s to 1h').argParser(durationOption).default(60_000, '60s'))
    .option('--limit <count>', 'at most this many rows', integerOption({ min: 1, max: 1_000 }), 20)
    .option('-w, --watch', `again every ${refreshMs / 1_000} s, until Ctrl-C`)
    .action(run<TopOptions>((session, options) => (options.watch === true ? watch(session, options) : show(session, options))));
  addApiOptions(command);
}

async function show(session: Session, options: TopOptions): Promise<void> {
  const { by, sort, limit } = options;
  const answer = (await session.api.call({ method: 'GET', path: '/v1/telemetry/top', query: { by, sort, limit, window: `${options.window}ms` } })).body as TopAnswer;
  session.answer(answer, () => topText(answer, session, options));
}

async function watch(session: Session, options: TopOptions): Promise<void> {
  const { signal } = session.terminal;
  while (!signal.aborted) {
    if (session.format === 'table' && session.terminal.outIsTerminal) session.terminal.out('\u001b[H\u001b[2J');
    await show(session, options);
    await pause(refreshMs, signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}

const columns: readonly Column[] = [
  { title: 'NAME' },
  ...['REQUESTS', 'PER S', 'ERRORS', 'REFUSED', 'RETRIES', 'P50 MS', 'P90 MS', 'P99 MS', 'MAX MS', 'IN', 'OUT', 'ACTIVE'].map((title): Column => ({ title, align: 'right' })),
];

function topText(answer: TopAnswer, session: Session, options: TopOptions): string {
  if (answer.items.length === 0) return `no requests in the last ${spanText(options.window)}\n`;
  const { style } = session;
  const grpc = answer.items.some((row) => grpcText(row) !== '');
  const rows = answer.items.map((row) => [
    style.name(row.name),
    String(row.requests),
    row.perSecond.toFixed(1),
    row.errors > 0 ? style.bad(`${row.errors} (${(100 * row.errorShare).toFixed(1)} %)`) : '0',
    row.refused > 0 ? style.warn(String(row.refused)) : '0',
    String(row.retries),
    ...[row.p50Ms, row.p90Ms, row.p99Ms, row.maxMs].map((ms) => ms.toFixed(1)),
    bytesText(row.bytesIn),
    bytesText(row.bytesOut),
    String(row.active),
    ...(grpc ? [grpcText(row)] : []),
  ]);
  return renderTable(grpc ? [...columns, { title: 'GRPC' }] : columns, rows, style.faint);
}

/** The codes of its calls, the most frequent first. */
function grpcText({ grpcCodes }: TopAnswer['items'][number]): string {
  const codes = Object.entries(grpcCodes).sort(([, a], [, b]) => b - a);
  const shown = codes.slice(0, grpcShown).map(([code, count]) => `${code} ${count}`).join(', ');
  return codes.length > grpcShown ? `${shown} …` : shown;
}

const grpcShown = 4;
