import type { JsonObject } from '@remora/core/canonical-json';
import type { SubjectKey } from '@remora/core/subject';
import type { Role } from './role.ts';

/** Who sends a request, as far as it was proven. */
export interface Principal {
  /**
   * `open`: the API asks nobody (`--api-auth off`), and the name is what the request says of itself. `first`: the token that the
   * first start prints, which may do nothing but make other tokens.
   */
  readonly kind: 'open' | 'token' | 'user' | 'first';
  /** Id of the token; issuer and subject of a user; '' where nothing is proven. */
  readonly id: string;
  /** For people: name of the token, or what the issuer calls the user. */
  readonly name: string;
  /** Each holds by itself: a viewer of everything can be an editor of one service. */
  readonly grants: readonly RoleGrant[];
  /** Wall ms; null: does not end. */
  readonly expiresMs: number | null;
}

export interface RoleGrant {
  readonly role: Role;
  /** null: everything. */
  readonly scope: Scope | null;
}

/** Services and gateways that a role is for. Never empty. */
export interface Scope {
  readonly subjects: readonly SubjectKey[];
}

/** As the history and the audit log name them. A name that only claims to be somebody's has no prefix. */
export function authorOf({ kind, name }: Principal): string {
  return kind === 'open' ? name : kind === 'user' ? `user:${name}` : `token:${name}`;
}

/** As the audit log keeps them. */
export function actorOf(principal: Principal): JsonObject {
  return { kind: principal.kind, id: principal.id, name: principal.name };
}

/** `viewer; editor of service/orders`. */
export function grantsText(grants: readonly RoleGrant[]): string {
  const text = grants.map(({ role, scope }) => (scope === null ? role : `${role} of ${scope.subjects.slice(0, 20).join(', ')}${scope.subjects.length > 20 ? ` and ${scope.subjects.length - 20} more` : ''}`));
  return text.join('; ') || 'none';
}
