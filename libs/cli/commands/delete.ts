import type { Command } from 'commander';
import type { ApiQuestion } from '../api-client.ts';
import { documentKinds, documentPath, parseDocumentNames } from '../document-kinds.ts';
import type { DocumentName } from '../document-kinds.ts';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';
import { wordArgument } from '../word-argument.ts';
import { addWriteOptions, sendWrite, writeExitCode, writeQuestion } from '../write-options.ts';
import type { WriteOptions } from '../write-options.ts';
import { writeText } from '../write-text.ts';

/** `remora delete policy/baseline`: refused where others refer to it. */
export function addDelete(program: Command, run: Runner): void {
  const command = program
    .command('delete')
    .description('delete documents, all of them in one revision or none; refused while others refer to them')
    .addArgument(wordArgument('<kind>', 'kind of document, or KIND/NAME', documentKinds.map((one) => one.plural)))
    .argument('[name...]', 'names')
    .action(
      run<WriteOptions>(async (session, options, args) => {
        const answer = await sendWrite(session, options, { ...deletion(parseDocumentNames(args)), ...writeQuestion(options) });
        session.answer(answer, () => writeText(answer, session.style));
        return writeExitCode(answer);
      }),
    );
  addWriteOptions(command);
  addApiOptions(command);
}

/** Several go together: one may name another. */
function deletion(names: readonly DocumentName[]): Pick<ApiQuestion, 'method' | 'path' | 'body'> {
  const [first] = names;
  if (names.length === 1 && first !== undefined) return { method: 'DELETE', path: documentPath(first) };
  return { method: 'POST', path: '/v1/delete', body: { documents: names.map(({ kind, name }) => `${kind.kind}/${name}`) } };
}
