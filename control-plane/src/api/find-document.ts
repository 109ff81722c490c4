import { suggest } from '@remora/core/suggest';
import type { StoredDocument } from '../store/store.ts';
import type { ApiPorts } from './api-ports.ts';
import { ApiError } from './problem.ts';

/** One stored document. Throws `not-found` with the nearest name of its kind. */
export function findDocument(ports: ApiPorts, kind: string, name: string): StoredDocument {
  const documents = ports.store.documents();
  const stored = documents.get(`${kind}/${name}`);
  if (stored) return stored;
  const near = suggest(name, [...documents.keys()].filter((key) => key.startsWith(`${kind}/`)).map((key) => key.slice(kind.length + 1)));
  throw new ApiError('not-found', `there is no ${kind}/${name}${near ? `; did you mean ${near}?` : ''}`, near ? { facts: { suggestion: near } } : {});
}
