import type { Store } from '../store/store.ts';
import { Access } from './access.ts';
import type { Authenticator, RequestCredentials } from './authenticator.ts';
import { ForbiddenError } from './forbidden-error.ts';
import type { Principal } from './principal.ts';
import type { RouteRight } from './route-right.ts';

/** The door of the API: who comes in, and with which rights. */
export interface ApiGate {
  /** `tokens`: who has no valid token is refused. `off`: everybody is let in as an administrator. */
  readonly kind: 'tokens' | 'off';
  /** Throws AuthenticationError, or ForbiddenError where the role is not enough for this path. `claimed`: what the request says of its author. */
  admit(right: RouteRight, credentials: RequestCredentials, claimed: () => string): Access | Promise<Access>;
  /** Whether somebody who was let in still may be: asked while an answer goes on for long. */
  stillGood(principal: Principal): boolean;
}

/** Everybody who reaches the port may do everything, under the name that they give. */
export function openGate(store: Pick<Store, 'documents'>): ApiGate {
  return {
    kind: 'off',
    admit: (_right, _credentials, claimed) => new Access({ kind: 'open', id: '', name: claimed() || 'anonymous', grants: [{ role: 'admin', scope: null }], expiresMs: null }, () => store.documents()),
    stillGood: () => true,
  };
}

export function tokenGate(deps: { readonly store: Pick<Store, 'documents'>; readonly authenticator: Authenticator; readonly stillGood: (principal: Principal) => boolean }): ApiGate {
  const accessOf = (principal: Principal): Access => new Access(principal, () => deps.store.documents());
  return {
    kind: 'tokens',
    async admit(right, credentials) {
      if (right === 'open') return accessOf(nobody);
      const access = accessOf(await deps.authenticator.authenticate(credentials));
      checkRight(access, right);
      return access;
    },
    stillGood: deps.stillGood,
  };
}

const nobody: Principal = { kind: 'open', id: '', name: 'anonymous', grants: [], expiresMs: null };

/** Throws ForbiddenError. What a scoped role may do within its scope, the handler looks at. */
export function checkRight(access: Access, right: Exclude<RouteRight, 'open'>): void {
  const { principal } = access;
  if (principal.kind === 'first') {
    if (right.first) return;
    throw new ForbiddenError(principal, { role: right.role, right: 'use', detail: 'the first token can only make the tokens of people and programs: `remora token create --api --name ana --role admin`' });
  }
  const enough = right.scoped === 'refused' ? access.may(right.role) : access.maySome(right.role);
  if (enough) return;
  const wide = right.scoped === 'refused' && access.maySome(right.role);
  throw new ForbiddenError(principal, { role: right.role, right: 'use', detail: wide ? `this is wider than some services: it needs the role ${right.role} for everything` : `this needs the role ${right.role}` });
}
