import type { JsonObject } from '@remora/core/canonical-json';
import { grantsText } from './principal.ts';
import type { Principal } from './principal.ts';
import type { Role } from './role.ts';

/** What a refusal is about. */
export interface MissingRight {
  /** What would be needed. */
  readonly role: Role;
  /** `Policy/baseline`, `service/orders`; absent: everything. Only what the request itself named. */
  readonly document?: string;
  /** `write`, `read`, or what it is for: `tokens`. */
  readonly right: string;
  readonly detail: string;
}

/** Somebody known asks for what they may not have. The same whether it exists or not. */
export class ForbiddenError extends Error {
  readonly facts: JsonObject;
  readonly principal: Principal;

  constructor(principal: Principal, { role, document, right, detail }: MissingRight) {
    super(detail);
    this.name = 'ForbiddenError';
    this.principal = principal;
    this.facts = { ...(document === undefined ? {} : { document }), right, needs: role, role: grantsText(principal.grants) };
  }
}
