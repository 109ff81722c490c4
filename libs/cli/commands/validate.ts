import type { Command } from 'commander';
import { readDocumentFiles } from '../document-files.ts';
import { loadInput } from '../document-input.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { addOutputOption } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { violationText } from '../violation-text.ts';
import { collect } from './apply.ts';

interface ValidateOptions {
  readonly file: readonly string[];
}

/** `remora validate -f mesh/`: everything that is wrong, without a control plane. */
export function addValidate(program: Command, run: Runner): void {
  const command = program
    .command('validate')
    .description('check documents offline, for CI: everything that is wrong in one answer')
    .requiredOption('-f, --file <path>', 'file, folder or - for standard input; may be given several times', collect)
    .action(run<ValidateOptions>(validate));
  addOutputOption(command);
}

async function validate(session: Session, options: ValidateOptions): Promise<ExitCode> {
  const input = loadInput(await readDocumentFiles(options.file, session.terminal));
  const { checkOffline } = await import('../offline-check.ts');
  const violations = checkOffline(input);
  const count = input.documents.length;
  session.answer({ documents: count, violations }, () => (violations.length === 0 ? `${session.style.good('valid')}: ${count} ${count === 1 ? 'document' : 'documents'}\n` : violationText(violations, session.style)));
  if (violations.length === 0) return exitCodes.ok;
  session.remark(`${session.errStyle.bad('error:')} ${violations.length} ${violations.length === 1 ? 'violation' : 'violations'} in ${count} ${count === 1 ? 'document' : 'documents'}`);
  return exitCodes.refused;
}
