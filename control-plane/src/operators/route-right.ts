import type { Role } from './role.ts';

/**
 * Who may use a path of the API. `open`: without a credential, because it tells nothing of this fleet. Otherwise the role that is
 * needed, and what a scoped role gets: `checked`, the handler looks at what the request is about and answers with no more than
 * the scope; `refused`, it is wider than any scope; `whole`, the answer is the same for everybody.
 */
export type RouteRight = 'open' | {
  readonly role: Role;
  readonly scoped: 'checked' | 'refused' | 'whole';
  /** Also for the token that the first start prints. */
  readonly first?: true;
};
