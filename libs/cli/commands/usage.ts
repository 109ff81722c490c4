import type { Command } from 'commander';
import type { UsageListAnswer } from '../api-shapes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';

interface UsageOptions {
  readonly previous?: true;
  readonly csv?: true;
}

type Row = UsageListAnswer['items'][number];

/** `remora usage [CONSUMER]`: what consumers used of the quotas of their Plans. */
export function addUsage(program: Command, run: Runner): void {
  const command = program
    .command('usage')
    .description('what consumers used of the quotas of their Plans')
    .argument('[consumer]', 'only this one; default: all')
    .option('--previous', 'of the period before the one that runs')
    .option('--csv', 'comma-separated values, for accounting')
    .action(
      run<UsageOptions>(async (session, { previous, csv }, [consumer]) => {
        const items = await readAll(session, { ...(consumer !== undefined && { consumer }), ...(previous === true && { period: 'previous' }) });
        if (csv === true) session.terminal.out(csvText(items));
        else session.answer({ items }, () => listText(items, session));
      }),
    );
  addApiOptions(command);
}

async function readAll(session: Session, query: Readonly<Record<string, string>>): Promise<readonly Row[]> {
  const items: Row[] = [];
  for (let after: string | null = ''; after !== null;) {
    const page: UsageListAnswer = (await session.api.call({ method: 'GET', path: '/v1/usage', query: { ...query, ...(after !== '' && { after }), limit: 1_000 } })).body as UsageListAnswer;
    items.push(...page.items);
    after = page.next;
  }
  return items;
}

function listText(items: readonly Row[], { style }: Session): string {
  if (items.length === 0) return 'no consumer has a quota\n';
  const rows = items.map(({ consumer, plan, quota, period, requests, used, end }) => [
    style.name(consumer), `${plan}/${quota}`, period, used >= requests ? style.bad(used.toLocaleString('en')) : used.toLocaleString('en'), requests.toLocaleString('en'), `${((used / requests) * 100).toFixed(1)} %`, end,
  ]);
  return renderTable([{ title: 'CONSUMER' }, { title: 'QUOTA' }, { title: 'PERIOD' }, { title: 'USED', align: 'right' }, { title: 'OF', align: 'right' }, { title: 'SHARE', align: 'right' }, { title: 'UNTIL' }], rows, style.faint);
}

const columns = ['consumer', 'plan', 'quota', 'per', 'period', 'start', 'end', 'requests', 'used', 'remaining'] as const satisfies readonly (keyof Row)[];

/** RFC 4180. Names of documents, labels and numbers: nothing in them needs quotes. */
function csvText(items: readonly Row[]): string {
  return [columns.join(','), ...items.map((item) => columns.map((column) => String(item[column])).join(','))].map((line) => `${line}\r\n`).join('');
}
