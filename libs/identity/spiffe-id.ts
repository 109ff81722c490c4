import type { Subject } from '@remora/core/subject';
import { isTrustDomain, trustDomainProblem } from './trust-domain.ts';

/** A SPIFFE id, taken apart: `spiffe://shop.example/service/orders`. */
export interface SpiffeId {
  readonly trustDomain: string;
  /** With its leading slash; '' for the trust domain itself, which only authorities are. */
  readonly path: string;
}

export type SpiffeIdResult = { readonly ok: true; readonly id: SpiffeId } | { readonly ok: false; readonly problem: string };

const lengthMax = 2_048;
const scheme = 'spiffe://';
/** Section 2.2 of the standard: letters, digits, `.`, `_`, `-`; nothing is percent-encoded. */
const segmentPattern = /^[A-Za-z0-9._-]+$/;

/**
 * Reads a SPIFFE id by the SPIFFE-ID standard, section 2. Only the canonical spelling is taken, because ids are compared as
 * text: no upper case in scheme or trust domain, no port, user, query, fragment, percent sign, empty or dot segment.
 */
export function parseSpiffeId(text: string): SpiffeIdResult {
  if (text.length > lengthMax) return refused(`has ${text.length} characters, at most ${lengthMax} are allowed`);
  if (!text.startsWith(scheme)) return refused('does not begin with spiffe://');
  const slash = text.indexOf('/', scheme.length);
  const trustDomain = slash < 0 ? text.slice(scheme.length) : text.slice(scheme.length, slash);
  if (!isTrustDomain(trustDomain)) return refused(`has a trust domain that ${trustDomainProblem(trustDomain)}`);
  const path = slash < 0 ? '' : text.slice(slash);
  const problem = pathProblem(path);
  return problem === null ? { ok: true, id: { trustDomain, path } } : refused(problem);
}

export function formatSpiffeId({ trustDomain, path }: SpiffeId): string {
  return `${scheme}${trustDomain}${path}`;
}

/** `spiffe://<trust domain>/service/<name>`, `…/gateway/<name>`. */
export function subjectSpiffeId(trustDomain: string, { kind, name }: Subject): SpiffeId {
  return { trustDomain, path: `/${kind}/${name}` };
}

/** The control plane's own id: sidecars talk to nobody else on the push and enrolment ports. */
export function controlPlaneSpiffeId(trustDomain: string): SpiffeId {
  return { trustDomain, path: '/control-plane' };
}

/** The service or gateway an id stands for; null where it is something else. */
export function subjectOfSpiffeId({ path }: SpiffeId): Subject | null {
  const [, kind, name = '', ...rest] = path.split('/');
  if ((kind !== 'service' && kind !== 'gateway') || name === '' || rest.length > 0) return null;
  return { kind, name };
}

function pathProblem(path: string): string | null {
  if (path === '') return null;
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') return 'has an empty path segment';
    if (segment === '.' || segment === '..') return 'has a path segment that is . or ..';
    if (!segmentPattern.test(segment)) return `has a path segment with other characters than letters, digits, . _ -: ${JSON.stringify(segment.slice(0, 40))}`;
  }
  return null;
}

function refused(problem: string): SpiffeIdResult {
  return { ok: false, problem };
}
