import type { Access } from '../operators/access.ts';
import { ForbiddenError } from '../operators/forbidden-error.ts';
import type { Role } from '../operators/role.ts';

/** Throws ForbiddenError where a service or gateway is outside of the scope; in the same words whether it exists or not. */
export function requireSubject(access: Access, subject: string, role: Role = 'viewer'): void {
  if (access.mayAt(role, subject)) return;
  throw new ForbiddenError(access.principal, { role, right: role === 'viewer' ? 'read' : 'write', document: subject, detail: `${subject}: outside of this role's scope` });
}

/** The same for a caller or a callee of what is in the scope: their names are known to it. */
export function requireName(access: Access, subject: string): void {
  if (!access.seesName(subject)) requireSubject(access, subject);
}
