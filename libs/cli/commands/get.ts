import type { Command } from 'commander';
import type { JsonObject } from '@remora/core/canonical-json';
import { stringify } from 'yaml';
import type { DocumentAnswer, Page } from '../api-shapes.ts';
import { documentKinds, documentPath, parseDocumentNames, parseKind } from '../document-kinds.ts';
import type { DocumentKind } from '../document-kinds.ts';
import { targetText } from '../document-text.ts';
import { readPages } from '../pages.ts';
import { collect } from './apply.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';

interface GetOptions {
  readonly label?: readonly string[];
  readonly owner?: string;
}

/** `remora get policies`, `remora get policy/baseline`, `remora get all`. */
export function addGet(program: Command, run: Runner): void {
  const command = program
    .command('get')
    .description('show documents: `get policies`, `get policy/baseline`, `get all`')
    .addArgument(wordArgument('<kind>', 'kind of document, KIND/NAME, or all', [...documentKinds.map((one) => one.plural), 'all']))
    .argument('[name...]', 'names')
    .option('-l, --label <key=value>', 'only documents with this label; may be given several times', collect)
    .option('--owner <set>', 'only documents of this owner set')
    .action(
      run<GetOptions>(async (session, options, args) => {
        const [kind = '', ...names] = args;
        if (kind === 'all') return showAll(session, options);
        if (names.length === 0 && !kind.includes('/')) return showList(session, [parseKind(kind)], options);
        return showDocuments(session, args);
      }),
    );
  addApiOptions(command);
}

async function showAll(session: Session, options: GetOptions): Promise<void> {
  await showList(session, documentKinds, options);
}

async function showList(session: Session, kinds: readonly DocumentKind[], options: GetOptions): Promise<void> {
  const found: DocumentAnswer[] = [];
  for (const kind of kinds) {
    const query = { label: options.label?.join(','), owner: options.owner };
    found.push(...(await readPages<DocumentAnswer>(session.api, { path: `/v1/${kind.plural}`, query, cursor: 'after' })));
  }
  session.answer({ items: found } satisfies Page<DocumentAnswer>, () => listText(session, found));
}

function listText(session: Session, found: readonly DocumentAnswer[]): string {
  if (found.length === 0) return 'no documents\n';
  const rows = found.map((one) => [one.document.kind, session.style.name(one.document.name), targetText(one.document as JsonObject), String(one.revision), one.owner]);
  return renderTable([{ title: 'KIND' }, { title: 'NAME' }, { title: 'CONCERNS' }, { title: 'REVISION', align: 'right' }, { title: 'OWNER' }], rows, session.style.faint);
}

async function showDocuments(session: Session, words: readonly string[]): Promise<void> {
  const found: JsonObject[] = [];
  for (const name of parseDocumentNames(words)) {
    found.push((await session.api.call({ method: 'GET', path: documentPath(name) })).body as JsonObject);
  }
  session.answer(found.length === 1 ? found[0] : { items: found }, () => found.map((one) => stringify(one, { lineWidth: 0 })).join('---\n'));
}
