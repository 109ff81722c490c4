import type { Command } from 'commander';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';
import { revisionNumber } from '../revision-number.ts';
import { addWriteOptions, sendWrite, writeExitCode, writeQuestion } from '../write-options.ts';
import type { WriteOptions } from '../write-options.ts';
import { writeText } from '../write-text.ts';

/** `remora revert N`: takes back what revision N did to its documents, as a new revision. */
export function addRevert(program: Command, run: Runner): void {
  const command = program
    .command('revert')
    .description('take back what one revision did, as a new revision; refused where its documents changed since')
    .argument('<revision>', 'number of the revision')
    .action(
      run<WriteOptions>(async (session, options, [number]) => {
        const answer = await sendWrite(session, options, { method: 'POST', path: `/v1/revisions/${revisionNumber(number)}/revert`, ...writeQuestion(options) });
        session.answer(answer, () => writeText(answer, session.style));
        return writeExitCode(answer);
      }),
    );
  addWriteOptions(command);
  addApiOptions(command);
}
