import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { ViolationError } from '@remora/core/violation';
import { AuthenticationError } from '../operators/authentication-error.ts';
import { ForbiddenError } from '../operators/forbidden-error.ts';
import { StoreError } from '../store/store-error.ts';
import type { StoreErrorCode } from '../store/store-error.ts';
import { WriteError, writeErrorStatus } from '../write/write-error.ts';

/** Every answer that is an error: RFC 9457, with a stable `code`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail?: string;
  readonly violations?: readonly Violation[];
  readonly [fact: string]: unknown;
}

/** Codes that the API itself makes; the others are those of writes and of the store. */
export const apiProblems = {
  'bad-parameter': [400, 'A parameter is not acceptable'],
  'bad-request': [400, 'The request cannot be understood'],
  unauthenticated: [401, 'Who asks is not known'],
  forbidden: [403, 'The role does not allow it'],
  'too-many-failures': [429, 'Too many requests without a valid token'],
  'authentication-off': [409, 'The API asks nobody who they are'],
  'too-many-api-tokens': [409, 'There are too many API tokens'],
  'foreign-origin': [403, 'The request comes from a page of another site'],
  'foreign-host': [421, 'The request is for another host'],
  'not-found': [404, 'There is no such thing'],
  gone: [410, 'Not known any more'],
  'no-such-path': [404, 'The API has no such path'],
  'not-available': [501, 'Not available in this build'],
  'method-not-allowed': [405, 'The path does not have this method'],
  'body-too-large': [413, 'The body is larger than allowed'],
  'unsupported-media-type': [415, 'The body has a type that is not read here'],
  'too-many-listeners': [503, 'Too many listeners are connected'],
  'identity-off': [409, 'Identity is off'],
  'too-many-tokens': [409, 'There are too many join tokens'],
  'too-many-revocations': [409, 'There are too many revocations'],
  'too-many-orders': [409, 'Too many hosts of the service were taken out or back'],
  'canary-over': [409, 'The canary is over'],
  'canary-not-begun': [409, 'The canary has not begun'],
  'not-working': [503, 'Another control plane does this work'],
  'rotation-stage': [409, 'The authority is at another stage of its rotation'],
  'rotation-unsafe': [409, 'The next stage would cut instances off'],
  'credential-taken': [409, 'Another credential is known by the same'],
  'too-many-credentials': [409, 'There are too many credentials'],
  'too-many-secrets': [409, 'There are too many Secrets'],
  'no-encryption-key': [409, 'There is no key to encrypt with'],
  'secret-source-failed': [422, 'The source of the Secret does not answer'],
  'not-ready': [503, 'The control plane is not ready'],
  offline: [503, 'The sidecar is not connected'],
  'sidecar-timeout': [504, 'The sidecar did not answer in time'],
  'sidecar-failed': [502, 'The sidecar could not answer'],
  internal: [500, 'The control plane failed'],
} as const satisfies Record<string, readonly [number, string]>;

export type ApiProblemCode = keyof typeof apiProblems;

/** Titles by code: what kind of thing is wrong, the same words each time. */
const writeTitles: Readonly<Record<keyof typeof writeErrorStatus, string>> = {
  'documents-refused': 'The documents are refused',
  'etag-mismatch': 'The document changed since it was read',
  'empty-prune': 'Nothing given would delete everything',
  guard: 'A guard refuses the change',
  'idempotency-key-reused': 'The Idempotency-Key was used for another request',
  'not-found': 'There is no such thing',
  'owned-by-canary': 'A running canary has it',
  'nothing-to-revert': 'The revision changed no documents',
  'plan-differs': 'The plan would do something else now',
  referred: 'Other documents refer to it',
  'revert-conflict': 'Documents changed since the revision',
  'unknown-guard': 'There is no such guard',
  'write-contended': 'Other writes were faster',
  'write-queue-full': 'Too many writes are waiting',
  stopping: 'The control plane is stopping',
};

const storeStatus: Readonly<Record<StoreErrorCode, readonly [number, string]>> = {
  'history-gone': [410, 'Past retention'],
  'version-unknown': [404, 'There is no such revision'],
  'store-closed': [503, 'The store is closed'],
  'store-corrupt': [500, 'The store is damaged'],
  'store-exists': [409, 'The file exists'],
  'store-full': [507, 'The store has no room left'],
  'store-io': [500, 'The store\'s disk failed'],
  'store-locked': [503, 'The store is locked'],
  'store-missing': [500, 'The store\'s file is missing'],
  'store-newer': [500, 'The store was written by a newer version'],
  'store-not-ours': [500, 'The file is not a store of Remora'],
  'store-read-only': [507, 'The store cannot be written'],
};

/**
 * Types of bodies that are read. None of those that a page of any site may send without asking first (text/plain, forms):
 * whoever visits such a page would write with it.
 */
export const bodyTypes = ['application/yaml', 'application/json', 'application/x-yaml', 'text/yaml', 'text/x-yaml'];

/** Thrown by handlers for what a client should be told. */
export class ApiError extends Error {
  readonly code: ApiProblemCode;
  readonly violations: readonly Violation[];
  readonly facts: JsonObject;

  constructor(code: ApiProblemCode, detail: string, more: { readonly violations?: readonly Violation[]; readonly facts?: JsonObject } = {}) {
    super(detail);
    this.name = 'ApiError';
    this.code = code;
    this.violations = more.violations ?? [];
    this.facts = more.facts ?? {};
  }
}

/** The answer to anything that a handler throws. Defects show nothing of the inside; the caller logs them. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) {
    const [status, title] = apiProblems[error.code];
    return problem({ code: error.code, status, title, detail: error.message, violations: error.violations, facts: error.facts });
  }
  if (error instanceof WriteError) {
    return problem({ code: error.code, status: writeErrorStatus[error.code], title: writeTitles[error.code], detail: error.message, violations: error.violations, facts: error.facts });
  }
  if (error instanceof StoreError) {
    const [status, title] = storeStatus[error.code];
    return problem({ code: error.code, status, title, detail: error.message });
  }
  if (error instanceof ViolationError) {
    return problem({ code: 'documents-refused', status: 422, title: writeTitles['documents-refused'], detail: countText(error.violations.length), violations: error.violations });
  }
  if (error instanceof AuthenticationError) return authenticationProblem(error);
  if (error instanceof ForbiddenError) return problem({ code: 'forbidden', status: 403, title: apiProblems.forbidden[1], detail: error.message, facts: error.facts });
  return frameworkProblem(error) ?? problem({ code: 'internal', status: 500, title: apiProblems.internal[1] });
}

function authenticationProblem({ reason, message, retryAfterMs }: AuthenticationError): Problem {
  const of = (code: ApiProblemCode, facts: JsonObject): Problem => problem({ code, status: apiProblems[code][0], title: apiProblems[code][1], detail: message, facts });
  if (reason === 'not-ready') return of('not-ready', {});
  return reason === 'locked' ? of('too-many-failures', { retryAfterSeconds: Math.ceil(retryAfterMs / 1_000) }) : of('unauthenticated', { reason });
}

/** What fastify and Node refuse before a handler runs. */
function frameworkProblem(error: unknown): Problem | null {
  const { code = '', statusCode = 500, message = '' } = error as { readonly code?: string; readonly statusCode?: number; readonly message?: string };
  const of = (name: ApiProblemCode, detail = message): Problem => problem({ code: name, status: apiProblems[name][0], title: apiProblems[name][1], detail });
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return of('body-too-large');
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return of('unsupported-media-type', `expected one of ${bodyTypes.join(', ')}`);
  if (code.startsWith('FST_') && statusCode >= 400 && statusCode < 500) return of('bad-request');
  return null;
}

export function countText(violations: number): string {
  return `${violations} violation${violations === 1 ? '' : 's'}`;
}

function problem(parts: { code: string; status: number; title: string; detail?: string; violations?: readonly Violation[]; facts?: JsonObject }): Problem {
  return {
    type: `urn:remora:problem:${parts.code}`,
    title: parts.title,
    status: parts.status,
    code: parts.code,
    ...(parts.detail ? { detail: parts.detail } : {}),
    ...(parts.violations && parts.violations.length > 0 ? { violations: parts.violations } : {}),
    ...parts.facts,
  };
}
