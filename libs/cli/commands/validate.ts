import type { Violation } from '@remora/core/violation';
import type { Command } from 'commander';
import { ApiProblem } from '../api-client.ts';
import type { ReadyAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { readDocumentFiles } from '../document-files.ts';
import { loadInput } from '../document-input.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { violationText } from '../violation-text.ts';
import { collect } from './apply.ts';

interface ValidateOptions {
  readonly file?: readonly string[];
  readonly stored?: boolean;
}

/** `remora validate -f mesh/`: everything that is wrong, without a control plane. `--stored`: what is wrong with what it has. */
export function addValidate(program: Command, run: Runner): void {
  const command = program
    .command('validate')
    .description('check documents offline, for CI: everything that is wrong in one answer; or, after an upgrade, those that the control plane has')
    .option('-f, --file <path>', 'file, folder or - for standard input; may be given several times', collect)
    .option('--stored', 'instead of files: what is stored, and could not be written so with this build of the control plane')
    .action(run<ValidateOptions>(validate));
  addApiOptions(command);
}

async function validate(session: Session, { file = [], stored = false }: ValidateOptions): Promise<ExitCode> {
  if (stored === file.length > 0) throw new CommandFailure(exitCodes.usage, 'validate: what? Files with -f, or --stored for what the control plane has');
  return stored ? validateStored(session) : validateFiles(session, file);
}

/** Contradictions that an older build took, which are enforced as before; where nothing can be compiled at all, why. */
async function validateStored(session: Session): Promise<ExitCode> {
  const { state, violations } = await readStored(session);
  session.answer({ state, violations }, () => (violations.length === 0 ? `${session.style.good('valid')}: this build would take everything that is stored\n` : violationText(violations, session.style)));
  if (violations.length === 0) return exitCodes.ok;
  const meaning = state === 'enforced' ? 'enforced as before; an edit of each ends it' : 'nothing is pushed until corrected documents are applied, or `remora restore-to` goes back';
  session.remark(`${session.errStyle.bad('error:')} ${violations.length} ${violations.length === 1 ? 'violation' : 'violations'} in what is stored: ${meaning}`);
  return exitCodes.refused;
}

async function readStored(session: Session): Promise<{ readonly state: 'enforced' | 'broken'; readonly violations: readonly Violation[] }> {
  try {
    const { contradictions } = (await session.api.call({ method: 'GET', path: '/readyz' })).body as ReadyAnswer;
    return { state: 'enforced', violations: contradictions as readonly Violation[] };
  } catch (error) {
    const violations = error instanceof ApiProblem ? error.problem['violations'] : undefined;
    if (!Array.isArray(violations)) throw error;
    return { state: 'broken', violations: violations as readonly Violation[] };
  }
}

async function validateFiles(session: Session, file: readonly string[]): Promise<ExitCode> {
  const input = loadInput(await readDocumentFiles(file, session.terminal));
  const { checkOffline } = await import('../offline-check.ts');
  const violations = checkOffline(input);
  const count = input.documents.length;
  session.answer({ documents: count, violations }, () => (violations.length === 0 ? `${session.style.good('valid')}: ${count} ${count === 1 ? 'document' : 'documents'}\n` : violationText(violations, session.style)));
  if (violations.length === 0) return exitCodes.ok;
  session.remark(`${session.errStyle.bad('error:')} ${violations.length} ${violations.length === 1 ? 'violation' : 'violations'} in ${count} ${count === 1 ? 'document' : 'documents'}`);
  return exitCodes.refused;
}
