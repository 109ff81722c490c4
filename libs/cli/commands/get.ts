import type { Command } from 'commander';
import type { JsonObject } from '@remora/core/canonical-json';
import { stringify } from 'yaml';
import type { DocumentAnswer, Page, PolicyStatusAnswer } from '../api-shapes.ts';
import { documentKinds, documentPath, parseDocumentNames, parseKind } from '../document-kinds.ts';
import type { DocumentKind } from '../document-kinds.ts';
import { targetText } from '../document-text.ts';
import { readPages } from '../pages.ts';
import { refusalLines } from '../refusal-text.ts';
import { collect } from './apply.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import type { Style } from '../style.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';

interface GetOptions {
  readonly label?: readonly string[];
  readonly owner?: string;
  readonly status?: boolean;
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
    .option('--status', 'with names of policies: also which sidecars refuse a snapshot because of one')
    .action(
      run<GetOptions>(async (session, options, args) => {
        const [kind = '', ...names] = args;
        if (kind === 'all') return showAll(session, options);
        if (names.length === 0 && !kind.includes('/')) return showList(session, [parseKind(kind)], options);
        return showDocuments(session, args, options);
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

interface ShownDocument {
  readonly document: JsonObject;
  /** Only with `--status`, and only of a Policy. */
  readonly status?: PolicyStatusAnswer;
}

async function showDocuments(session: Session, words: readonly string[], options: GetOptions): Promise<void> {
  const found: ShownDocument[] = [];
  for (const name of parseDocumentNames(words)) {
    const document = (await session.api.call({ method: 'GET', path: documentPath(name) })).body as JsonObject;
    const asked = options.status === true && name.kind.kind === 'Policy';
    found.push(asked ? { document, status: (await session.api.call({ method: 'GET', path: `${documentPath(name)}/status` })).body as PolicyStatusAnswer } : { document });
  }
  const values = found.map((one) => (one.status === undefined ? one.document : one));
  session.answer(values.length === 1 ? values[0] : { items: values }, () => found.map((one) => documentText(one, session.style)).join('---\n'));
}

function documentText({ document, status }: ShownDocument, style: Style): string {
  const text = stringify(document, { lineWidth: 0 });
  if (status === undefined) return text;
  const { refusedBy, refusedByCount, enforcement, revision } = status;
  const enforced = enforcement === null ? '' : `, enforced by ${enforcement.applied} of ${enforcement.total}`;
  const head = `${text}# revision ${revision}${enforced}\n`;
  if (refusedByCount === 0) return `${head}${style.good('# no sidecar refuses it')}\n`;
  const lines = refusedBy.map((one) => `# ${style.name(one.nodeId)} (${one.subject}) ${refusalLines(one.refusal, style).replaceAll('\n      ', '\n#   ')}`);
  return `${head}${lines.join('')}${refusedByCount > lines.length ? `# and ${refusedByCount - lines.length} more\n` : ''}`;
}
