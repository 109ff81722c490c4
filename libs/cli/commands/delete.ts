import type { Command } from 'commander';
import { documentKinds, documentPath, parseDocumentNames } from '../document-kinds.ts';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { wordArgument } from '../word-argument.ts';
import { addWriteOptions, sendWrite, writeExitCode, writeQuestion } from '../write-options.ts';
import type { WriteOptions } from '../write-options.ts';
import { writeText } from '../write-text.ts';

/** `remora delete policy/baseline`: refused where others refer to it. */
export function addDelete(program: Command, run: Runner): void {
  const command = program
    .command('delete')
    .description('delete documents; refused while others refer to them')
    .addArgument(wordArgument('<kind>', 'kind of document, or KIND/NAME', documentKinds.map((one) => one.plural)))
    .argument('[name...]', 'names')
    .action(
      run<WriteOptions>(async (session, options, args) => {
        let code: ExitCode = exitCodes.ok;
        for (const name of parseDocumentNames(args)) {
          const answer = await sendWrite(session, options, { method: 'DELETE', path: documentPath(name), ...writeQuestion(options) });
          session.answer(answer, () => writeText(answer, session.style));
          code = code === exitCodes.ok ? writeExitCode(answer) : code;
        }
        return code;
      }),
    );
  addWriteOptions(command);
  addApiOptions(command);
}
