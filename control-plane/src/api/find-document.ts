import { suggest } from '@remora/core/suggest';
import type { Access } from '../operators/access.ts';
import { ForbiddenError } from '../operators/forbidden-error.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import type { ApiPorts } from './api-ports.ts';
import { ApiError } from './problem.ts';

/** One stored document. Throws `not-found` with the nearest name of its kind, ForbiddenError where it is outside of the scope or might be. */
export function findDocument(ports: ApiPorts, access: Access, kind: string, name: string): StoredDocument {
  const documents = ports.store.documents();
  const key: DocumentKey = `${kind}/${name}`;
  const stored = documents.get(key);
  if (stored && access.seesDocument(stored)) return stored;
  // A Service or Gateway of the scope that does not exist: only of these the name says whose they are.
  const own = !stored && /^(Service|Gateway)$/.test(kind) && access.seesDocument({ key, document: {} });
  if (!access.seesAll && !own) throw new ForbiddenError(access.principal, { role: 'viewer', right: 'read', document: key, detail: `${key}: outside of this role's scope` });
  const near = access.seesAll ? suggest(name, [...documents.keys()].filter((one) => one.startsWith(`${kind}/`)).map((one) => one.slice(kind.length + 1))) : undefined;
  throw new ApiError('not-found', `there is no ${key}${near ? `; did you mean ${near}?` : ''}`, near ? { facts: { suggestion: near } } : {});
}
