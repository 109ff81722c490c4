import type { Command } from 'commander';
import { parseDurationMs } from '@remora/core/units';
import { ageText } from '../age-text.ts';
import type { RevisionAnswer, RevisionDiffAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { enforcementText } from '../enforcement-text.ts';
import { exitCodes } from '../exit-codes.ts';
import { foldRevisions } from '../fold-revisions.ts';
import type { HistoryLine } from '../fold-revisions.ts';
import { readPages } from '../pages.ts';
import { revisionNumber } from '../revision-number.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { differencesText } from '../write-text.ts';
import { readEnforcement } from '../read-enforcement.ts';
import { integerOption } from '../integer-option.ts';

interface HistoryOptions {
  readonly since?: string;
  readonly limit: number;
  readonly document?: string;
  readonly unfold?: boolean;
}

/** `remora history`: revisions, newest first; `remora history 41`: one, with what it changed and who enforces it. */
export function addHistory(program: Command, run: Runner): void {
  const command = program
    .command('history')
    .description('list revisions, newest first; with a number, show one: its changes, and who enforces it')
    .argument('[revision]', 'number of one revision')
    .option('--since <when>', 'only revisions of the last 30m, 2h, 7d, or since an instant')
    .option('--document <name>', 'only revisions that changed this document, e.g. Policy/baseline')
    .option('--unfold', 'each step of a canary is a line, not each canary')
    .option('--limit <count>', 'at most this many', integerOption({ min: 1, max: 10_000 }), 20)
    .action(run<HistoryOptions>(async (session, options, [number]) => (number === undefined ? showRevisions(session, options) : showRevision(session, revisionNumber(number)))));
  addApiOptions(command);
}

async function showRevisions(session: Session, options: HistoryOptions): Promise<void> {
  const query = { since: sinceInstant(options.since, session.terminal.now()), document: options.document };
  const revisions = await readPages<RevisionAnswer>(session.api, { path: '/v1/revisions', query, cursor: 'before', limit: options.limit });
  session.answer({ items: revisions }, () => revisionsText(session, options.unfold === true ? revisions.map((one) => ({ newest: one, oldest: one, count: 1 })) : foldRevisions(revisions)));
}

function revisionsText(session: Session, lines: readonly HistoryLine[]): string {
  if (lines.length === 0) return 'no revisions\n';
  const rows = lines.map(({ newest: one, oldest, count }) => [
    count === 1 ? String(one.revision) : `${oldest.revision}…${one.revision}`,
    ageText(one.at, session.terminal.now()),
    one.author,
    count === 1 ? kindText(one) : `${count} steps`,
    documentsCell(one),
    one.message,
  ]);
  return renderTable([{ title: 'REVISION', align: 'right' }, { title: 'WHEN' }, { title: 'AUTHOR' }, { title: 'WHAT' }, { title: 'DOCUMENTS' }, { title: 'MESSAGE' }], rows, session.style.faint);
}

function kindText(one: RevisionAnswer): string {
  return one.of === undefined ? one.kind : `${one.kind} of ${one.of}`;
}

const documentsShown = 3;

function documentsCell(one: RevisionAnswer): string {
  const names = one.documents.slice(0, documentsShown).map(({ document, action }) => (action === 'updated' ? document : `${document} ${action}`));
  const rest = one.documentCount - names.length;
  return rest > 0 ? `${names.join(', ')} and ${rest} more` : names.join(', ');
}

async function showRevision(session: Session, number: number): Promise<void> {
  const revision = (await session.api.call({ method: 'GET', path: `/v1/revisions/${number}` })).body as RevisionAnswer;
  const { changes, changeCount } = (await session.api.call({ method: 'GET', path: `/v1/revisions/${number}/diff` })).body as RevisionDiffAnswer;
  const enforcement = await readEnforcement(session.api, number);
  session.answer({ ...revision, changes, enforcement }, () => {
    const head = `revision ${revision.revision} by ${revision.author}, ${revision.at} (${ageText(revision.at, session.terminal.now())}), ${kindText(revision)}\n`;
    const message = revision.message === '' ? '' : `    ${revision.message}\n`;
    return session.style.strong(head) + message + differencesText(changes, session.style, changeCount) + (enforcement === null ? '' : enforcementText(enforcement, session.style));
  });
}

/** `30m` → the instant then; an instant stays. */
export function sinceInstant(text: string | undefined, nowMs: number): string | undefined {
  if (text === undefined) return undefined;
  const spanMs = parseDurationMs(text);
  if (spanMs !== null) return new Date(nowMs - spanMs).toISOString();
  if (Number.isNaN(Date.parse(text))) throw new CommandFailure(exitCodes.usage, `--since: ${text} is neither a duration such as 30m nor an instant such as 2026-01-31T14:02Z`);
  return new Date(text).toISOString();
}
