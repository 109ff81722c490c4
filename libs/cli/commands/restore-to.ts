import type { Command } from 'commander';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';
import { revisionNumber } from '../revision-number.ts';
import { addWriteOptions, sendWrite, writeExitCode, writeQuestion } from '../write-options.ts';
import type { WriteOptions } from '../write-options.ts';
import { writeText } from '../write-text.ts';

/** `remora restore-to N`: makes all documents what they were at revision N, as a new revision. */
export function addRestoreTo(program: Command, run: Runner): void {
  const command = program
    .command('restore-to')
    .description('set all documents to what they were at a revision, as a new revision')
    .argument('<revision>', 'number of the revision')
    .action(
      run<WriteOptions>(async (session, options, [number]) => {
        const answer = await sendWrite(session, options, { method: 'POST', path: `/v1/restore-to/${revisionNumber(number)}`, ...writeQuestion(options) });
        session.answer(answer, () => writeText(answer, session.style));
        return writeExitCode(answer);
      }),
    );
  addWriteOptions(command);
  addApiOptions(command);
}
