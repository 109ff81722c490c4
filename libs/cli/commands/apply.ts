import type { Command } from 'commander';
import { ApiProblem } from '../api-client.ts';
import type { WriteAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { readDocumentFiles } from '../document-files.ts';
import { loadInput } from '../document-input.ts';
import type { DocumentInput } from '../document-input.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { addWriteOptions, sendWrite, writeExitCode, writeQuestion } from '../write-options.ts';
import type { WriteOptions } from '../write-options.ts';
import { writeText } from '../write-text.ts';

export interface ApplyOptions extends WriteOptions {
  readonly file: readonly string[];
  readonly plan?: string;
  readonly prune?: string;
  readonly owner?: string;
}

/** `remora apply -f …`: many documents, one revision. */
export function addApply(program: Command, run: Runner): void {
  const command = program
    .command('apply')
    .description('write documents: all of them in one revision, or none')
    .requiredOption('-f, --file <path>', 'file, folder or - for standard input; may be given several times', collect)
    .option('--plan <hash>', 'only if the effect is still the one that `--dry-run` showed')
    .option('--owner <set>', 'mark the documents as belonging to this set')
    .option('--prune <set>', 'mark them so, and delete what else carries the set and is not in the input')
    .action(run<ApplyOptions>(applyFiles));
  addWriteOptions(command);
  addApiOptions(command);
}

export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

async function applyFiles(session: Session, options: ApplyOptions): Promise<ExitCode> {
  if (options.owner !== undefined && options.prune !== undefined && options.owner !== options.prune) {
    throw new CommandFailure(exitCodes.usage, '--owner and --prune name different sets; --prune alone does both');
  }
  const input = loadInput(await readDocumentFiles(options.file, session.terminal));
  const answer = await sendInput(session, options, input);
  session.answer(answer, () => writeText(answer, session.style));
  return writeExitCode(answer);
}

/**
 * Sends the documents; a refusal comes back with file and line. Where a file could not be read nothing is written, but
 * the rest is checked all the same: everything wrong in one answer.
 */
export async function sendInput(session: Session, options: ApplyOptions, input: DocumentInput): Promise<WriteAnswer> {
  const unreadable = input.violations.length > 0;
  const asked = unreadable ? { ...options, dryRun: true } : options;
  const { query, timeoutMs } = writeQuestion(asked);
  try {
    const answer = await sendWrite(session, asked, {
      method: 'POST',
      path: '/v1/apply',
      query: { ...query, plan: options.plan, owner: options.owner, prune: options.prune },
      ...input.body,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    if (!unreadable) return answer;
  } catch (error) {
    if (error instanceof ApiProblem) throw input.withSourcesIn(error);
    throw error;
  }
  throw new ApiProblem(422, { code: 'documents-refused', title: 'The documents cannot be read', status: 422, violations: input.violations });
}
