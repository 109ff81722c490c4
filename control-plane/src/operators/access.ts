import type { SubjectKey } from '@remora/core/subject';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import { documentPlace } from './document-place.ts';
import type { Principal } from './principal.ts';
import { atLeast } from './role.ts';
import type { Role } from './role.ts';

type Documents = ReadonlyMap<DocumentKey, StoredDocument>;

/**
 * What one principal may do and see. A role without a scope is for everything; a scoped one for its services and gateways: their
 * documents (Routes and Policies that name them as owner or target included), sidecars and telemetry. Of others it sees names
 * only, and only of those that its own depend on or that declare to depend on its own.
 */
export class Access {
  readonly principal: Principal;
  readonly #documents: () => Documents;
  #neighbours: { readonly of: Documents; readonly names: ReadonlySet<string> } | null = null;

  constructor(principal: Principal, documents: () => Documents) {
    this.principal = principal;
    this.#documents = documents;
  }

  /** For everything, whatever it is about. */
  may(role: Role): boolean {
    return this.principal.grants.some((grant) => grant.scope === null && atLeast(grant.role, role));
  }

  /** For something at least. */
  maySome(role: Role): boolean {
    return this.principal.grants.some((grant) => atLeast(grant.role, role));
  }

  mayAt(role: Role, subject: string): boolean {
    return this.principal.grants.some((grant) => atLeast(grant.role, role) && (grant.scope === null || (grant.scope.subjects as readonly string[]).includes(subject)));
  }

  /** For one version of a document. */
  mayWith(role: Role, stored: Pick<StoredDocument, 'key' | 'document'>): boolean {
    if (this.may(role)) return true;
    const place = documentPlace(stored.key, stored.document);
    return place !== 'wide' && place.every((subject) => this.mayAt(role, subject));
  }

  /** Reads are not narrowed. */
  get seesAll(): boolean {
    return this.may('viewer');
  }

  sees(subject: string): boolean {
    return this.mayAt('viewer', subject);
  }

  seesDocument(stored: Pick<StoredDocument, 'key' | 'document'>): boolean {
    return this.mayWith('viewer', stored);
  }

  /** The name of a service or gateway may be told: its own, or a neighbour. */
  seesName(subject: string): boolean {
    return this.sees(subject) || this.#namesOfNeighbours().has(subject);
  }

  #namesOfNeighbours(): ReadonlySet<string> {
    const documents = this.#documents();
    if (this.#neighbours?.of !== documents) this.#neighbours = { of: documents, names: neighboursOf(documents, (subject) => this.sees(subject)) };
    return this.#neighbours.names;
  }
}

/** Whom the subjects call, and who declares to call them. */
function neighboursOf(documents: Documents, isOwn: (subject: string) => boolean): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { key, document } of documents.values()) {
    const edges = key.startsWith('Service/') ? { from: `service/${key.slice('Service/'.length)}`, to: names(document['dependsOn']) }
      : key.startsWith('Route/') ? { from: typeof document['gateway'] === 'string' ? `gateway/${document['gateway']}` : '', to: names(document['to']) }
        : null;
    if (edges === null || edges.from === '') continue;
    const own = isOwn(edges.from);
    for (const name of edges.to) {
      const to: SubjectKey = `service/${name}`;
      if (own) found.add(to);
      else if (isOwn(to)) found.add(edges.from);
    }
  }
  return found;
}

/** `[payments]`, or `[{service: payments}]`. */
function names(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: unknown) => (typeof one === 'object' && one !== null ? (one as { readonly service?: unknown }).service : one)).filter((one): one is string => typeof one === 'string');
}
