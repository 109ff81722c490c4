import { suggest } from '@remora/core/suggest';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

/** Document kinds as the API spells them in paths. */
export interface DocumentKind {
  /** `Policy`, as in documents. */
  readonly kind: string;
  /** `policies`, as in paths and on the command line. */
  readonly plural: string;
}

export const documentKinds: readonly DocumentKind[] = [
  { kind: 'Mesh', plural: 'mesh' },
  { kind: 'Service', plural: 'services' },
  { kind: 'Gateway', plural: 'gateways' },
  { kind: 'Route', plural: 'routes' },
  { kind: 'Policy', plural: 'policies' },
  { kind: 'Consumer', plural: 'consumers' },
  { kind: 'Plan', plural: 'plans' },
  { kind: 'Canary', plural: 'canaries' },
];

/** `Policy`, `policy`, `policies` → the kind. */
export function parseKind(text: string): DocumentKind {
  const lower = text.toLowerCase();
  const found = documentKinds.find((one) => one.kind.toLowerCase() === lower || one.plural === lower || (one.kind === 'Mesh' && lower === 'meshes'));
  if (found !== undefined) return found;
  const near = suggest(lower, documentKinds.flatMap((one) => [one.plural, one.kind.toLowerCase()]));
  throw new CommandFailure(exitCodes.usage, `${text} is no kind of document; there are ${documentKinds.map((one) => one.plural).join(', ')}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

export interface DocumentName {
  readonly kind: DocumentKind;
  readonly name: string;
}

/** `policy x`, `policy/x`, `Policy/x Service/y` → names. The mesh needs none. */
export function parseDocumentNames(words: readonly string[]): DocumentName[] {
  const [first, ...rest] = words;
  if (first === undefined) throw new CommandFailure(exitCodes.usage, 'name what is meant, e.g. `policy/baseline` or `policy baseline`');
  if (words.some((word) => word.includes('/'))) return words.map(parseSlashName);
  const kind = parseKind(first);
  if (rest.length === 0 && kind.kind === 'Mesh') return [{ kind, name: 'mesh' }];
  if (rest.length === 0) throw new CommandFailure(exitCodes.usage, `which of the ${kind.plural}? e.g. \`${first} NAME\``);
  return rest.map((name) => ({ kind, name }));
}

function parseSlashName(word: string): DocumentName {
  const slash = word.indexOf('/');
  const name = word.slice(slash + 1);
  if (slash < 1 || name === '') throw new CommandFailure(exitCodes.usage, `${word} does not name a document; expected KIND/NAME, such as policy/baseline`);
  return { kind: parseKind(word.slice(0, slash)), name };
}

/** Path of the API for a document. */
export function documentPath(name: DocumentName): string {
  return `/v1/${name.kind.plural}/${encodeURIComponent(name.name)}`;
}
