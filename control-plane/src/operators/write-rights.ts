import type { JsonObject } from '@remora/core/canonical-json';
import type { DocumentChange, DocumentKey, StoredDocument } from '../store/store.ts';
import type { Intent } from '../write/intended-changes.ts';
import type { WriteAuthority } from '../write/write-authority.ts';
import type { Access } from './access.ts';
import { ForbiddenError } from './forbidden-error.ts';
import type { Role } from './role.ts';

/** Documents named in one refusal. */
const namedMax = 20;

/** Who may write what: an editor of everything may write all; a scoped one what belongs to its services and gateways, before and after. With `viewer`: who may ask what a write would do. */
export function writeRights(access: Access, role: Role = 'editor'): WriteAuthority {
  return access.may(role) ? everything : new ScopedRights(access, role);
}

const everything: WriteAuthority = { checkIntent() {}, checkChanges() {}, mayForce: () => true };

class ScopedRights implements WriteAuthority {
  readonly #access: Access;
  readonly #role: Role;

  constructor(access: Access, role: Role) {
    this.#access = access;
    this.#role = role;
  }

  checkIntent(intent: Intent, current: ReadonlyMap<DocumentKey, StoredDocument>): void {
    switch (intent.kind) {
      case 'apply':
        return this.#refuse(intent.documents.filter(({ key, document }) => !this.#mayWrite(key, document) || !this.#mayWriteStored(key, current)).map(({ key }) => key));
      case 'delete':
        return this.#refuse(intent.keys.filter((key) => (current.has(key) ? !this.#mayWriteStored(key, current) : !this.#isOwnName(key))));
      case 'revert':
        return this.checkChanges(intent, intent.entry.changes);
      case 'restore-to':
        return;
    }
  }

  /** Changes that the request did not name are counted: their names may be none of its business. */
  checkChanges(intent: Intent, changes: readonly DocumentChange[]): void {
    const outside = changes.filter(({ key, before, after }) => (before !== null && !this.#mayWrite(key, before)) || (after !== null && !this.#mayWrite(key, after)));
    if (outside.length === 0) return;
    const named = outside.filter(({ key, before, after }) => (before === null || this.#mayRead(key, before)) && (after === null || this.#mayRead(key, after))).map(({ key }) => key);
    const what = { apply: 'prune would delete', delete: 'this would delete', revert: 'the revision changed', 'restore-to': 'going back would change' }[intent.kind];
    throw this.#forbidden(named, `${what} ${outside.length} document${outside.length === 1 ? '' : 's'} outside of this role's scope`);
  }

  mayForce(subject: string): boolean {
    return this.#access.mayAt(this.#role, subject);
  }

  #mayWrite(key: DocumentKey, document: JsonObject): boolean {
    return this.#access.mayWith(this.#role, { key, document });
  }

  #mayRead(key: DocumentKey, document: JsonObject): boolean {
    return this.#access.seesDocument({ key, document });
  }

  #mayWriteStored(key: DocumentKey, current: ReadonlyMap<DocumentKey, StoredDocument>): boolean {
    const stored = current.get(key);
    return stored === undefined || this.#access.mayWith(this.#role, stored);
  }

  /** A Service or Gateway of the scope: only of these the name alone says whose they are. */
  #isOwnName(key: DocumentKey): boolean {
    return /^(Service|Gateway)\//.test(key) && this.#mayWrite(key, {});
  }

  /** The same words for what exists, what does not, and what would be put there. */
  #refuse(keys: readonly DocumentKey[]): void {
    if (keys.length === 0) return;
    const more = keys.length > namedMax ? ` and ${keys.length - namedMax} more` : '';
    throw this.#forbidden(keys, `${keys.slice(0, namedMax).join(', ')}${more}: outside of this role's scope. A document belongs to the service or gateway that it is, or names as its owner or target; wider ones need a role for everything`);
  }

  #forbidden(keys: readonly DocumentKey[], detail: string): ForbiddenError {
    const [document] = keys;
    return new ForbiddenError(this.#access.principal, { role: this.#role, right: 'write', ...(document === undefined ? {} : { document }), detail });
  }
}
