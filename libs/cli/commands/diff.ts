import type { Command } from 'commander';
import type { DocumentDifference, RevisionDiffAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { revisionNumber } from '../revision-number.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { differencesText, writeText } from '../write-text.ts';
import { collect, sendInput } from './apply.ts';
import { loadInput } from '../document-input.ts';
import { readDocumentFiles } from '../document-files.ts';

interface DiffOptions {
  readonly file?: readonly string[];
  readonly prune?: string;
  readonly exitCode?: boolean;
  readonly all?: boolean;
}

/** `remora diff 38 39`, `remora diff 39` (against the one before), `remora diff -f mesh/` (what an apply would change). */
export function addDiff(program: Command, run: Runner): void {
  const command = program
    .command('diff')
    .description('show differences in meaning: between two revisions, or with -f what an apply would change')
    .argument('[from]', 'revision; alone, it is compared with the one before it')
    .argument('[to]', 'revision')
    .option('-f, --file <path>', 'file, folder or - ; compared with what is in force', collect)
    .option('--prune <set>', 'with -f: as `apply --prune`')
    .option('--all', 'with -f: also defaults that come or go with a section; json and yaml always have them')
    .option('--exit-code', `end with ${exitCodes.differs} where there are differences`)
    .action(run<DiffOptions>((session, options, [from, to]) => (options.file === undefined ? diffRevisions(session, options, from, to) : diffFiles(session, options, options.file))));
  addApiOptions(command);
}

async function diffRevisions(session: Session, options: DiffOptions, from: string | undefined, to: string | undefined): Promise<ExitCode> {
  if (from === undefined) throw new CommandFailure(exitCodes.usage, 'name one or two revisions, or files with -f');
  const number = revisionNumber(to ?? from);
  const query = { against: to === undefined ? undefined : revisionNumber(from) };
  const answer = (await session.api.call({ method: 'GET', path: `/v1/revisions/${number}/diff`, query })).body as RevisionDiffAnswer;
  session.answer(answer, () => differencesText(answer.changes, session.style, answer.changeCount) || 'no differences\n');
  return differs(options, answer.changes);
}

async function diffFiles(session: Session, options: DiffOptions, names: readonly string[]): Promise<ExitCode> {
  const input = loadInput(await readDocumentFiles(names, session.terminal));
  const answer = await sendInput(session, { file: names, ...(options.prune === undefined ? {} : { prune: options.prune }), all: options.all === true, output: session.format, ...dryRun }, input);
  session.answer(answer, () => (answer.changes.length === 0 ? 'no differences\n' : writeText(answer, session.style)));
  return differs(options, answer.changes);
}

const dryRun = { dryRun: true, timeout: 10_000 } as const;

function differs(options: DiffOptions, changes: readonly DocumentDifference[]): ExitCode {
  return options.exitCode === true && changes.length > 0 ? exitCodes.differs : exitCodes.ok;
}
