import type { Clock } from '@remora/core/clock';
import type { Store } from '../store/store.ts';
import { ApiTokens } from './api-tokens.ts';
import { Authenticator } from './authenticator.ts';
import type { AuthenticationEvents, UserTokens } from './authenticator.ts';
import { FailureLimiter } from './failure-limiter.ts';
import { FirstToken } from './first-token.ts';
import { tokenGate } from './gate.ts';
import type { ApiGate } from './gate.ts';
import type { Principal } from './principal.ts';

/** The people and programs that use the API: their tokens, and the door that asks for them. */
export interface Operators {
  readonly gate: ApiGate;
  readonly tokens: ApiTokens;
  readonly first: FirstToken;
  readonly limiter: FailureLimiter;
  /** What clients need to get a token of the issuer; null where there is none. */
  readonly login: LoginFacts | null;
}

/** How `remora login` gets a token of a company's issuer. Nothing of it is secret. */
export interface LoginFacts {
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  /** Which of the tokens that the issuer gives is sent here. */
  readonly token: 'id_token' | 'access_token';
}

export interface OperatorsDeps {
  readonly store: Pick<Store, 'documents' | 'records' | 'putRecords' | 'flushRecords'>;
  readonly clock: Clock;
  readonly events: AuthenticationEvents;
  readonly users: UserTokens | null;
  readonly login: LoginFacts | null;
}

export function createOperators({ store, clock, events, users, login }: OperatorsDeps): Operators {
  const tokens = new ApiTokens({ store, clock });
  const first = new FirstToken(store);
  const limiter = new FailureLimiter(clock);
  const authenticator = new Authenticator({ tokens, first, users, limiter, events });
  const stillGood = ({ kind, id, expiresMs }: Principal): boolean => (kind === 'token' ? tokens.isGood(id) : expiresMs === null || expiresMs > clock.wallMs());
  return { gate: tokenGate({ store, authenticator, stillGood }), tokens, first, limiter, login };
}
