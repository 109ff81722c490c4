/**
 * Who calls: `web` (a service of the own trust domain), `service/web`, `gateway/edge`, a whole SPIFFE id; `*` as the last segment stands for everything
 * below, `*` alone for every caller with a certificate.
 */
export interface CallerPattern {
  /** Null: of the own trust domain, which is known only at run time. */
  readonly trustDomain: string | null;
  /** With its leading slash; of a wildcard with the trailing one: `/service/`. */
  readonly path: string;
  readonly below: boolean;
}

export const anyCaller = '*';

/** For text without `callerProblem`; null is `*`. */
export function readCallerPattern(text: string): CallerPattern | null {
  if (text === anyCaller) return null;
  const below = text.endsWith('/*');
  const stem = below ? text.slice(0, -1) : text;
  if (stem.startsWith(scheme)) {
    const slash = stem.indexOf('/', scheme.length);
    return { trustDomain: stem.slice(scheme.length, slash), path: stem.slice(slash), below };
  }
  return { trustDomain: null, path: stem.includes('/') ? `/${stem}` : `/service/${stem}`, below };
}

/** Whether a SPIFFE id is one of them; `own` is the own trust domain, '' where there is none. */
export function fitsCaller(pattern: CallerPattern | null, principal: string, own: string): boolean {
  if (pattern === null) return true;
  const trustDomain = pattern.trustDomain ?? own;
  if (trustDomain === '') return false;
  const wanted = `spiffe://${trustDomain}${pattern.path}`;
  return pattern.below ? principal.startsWith(wanted) : principal === wanted;
}

/** Why a text names no caller; null where it does. */
export function callerProblem(text: string): string | null {
  if (text === anyCaller) return null;
  if (text.length > 2_048) return 'is too long';
  const stem = text.endsWith('/*') ? text.slice(0, -2) : text;
  if (stem.includes('*')) return 'has a * that is not the whole last segment';
  if (!stem.startsWith(scheme)) return namePattern.test(stem) || kindPattern.test(stem) || (text.endsWith('/*') && (stem === 'service' || stem === 'gateway')) ? null : 'is neither a SPIFFE id nor the name of a service or gateway';
  const [trustDomain = '', ...segments] = stem.slice(scheme.length).split('/');
  if (!trustDomainPattern.test(trustDomain)) return 'has a trust domain that is none: lower-case letters, digits, . - _';
  if (segments.length === 0 && !text.endsWith('/*')) return 'is a trust domain and no caller; with /* it stands for all of its callers';
  return segments.every((segment) => segmentPattern.test(segment) && segment !== '.' && segment !== '..') ? null : 'is not a canonical SPIFFE id';
}

const scheme = 'spiffe://';
const namePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const kindPattern = /^(?:service|gateway)\/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const trustDomainPattern = /^[a-z0-9._-]{1,255}$/;
const segmentPattern = /^[A-Za-z0-9._-]+$/;
