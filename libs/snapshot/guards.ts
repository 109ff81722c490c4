import { subjectKey, type SubjectKey } from '@remora/core/subject';
import type { EffectiveSettings } from './effective-settings.ts';
import type { Snapshot } from './snapshot.ts';

/** What guards look at: small, so that it can be kept for every subject and stored. */
export interface SnapshotSummary {
  readonly subject: SubjectKey;
  readonly hash: string;
  /** Routes of the Gateway, or of the Service itself; what it calls does not count. */
  readonly ownRoutes: number;
  readonly destinations: number;
  /** Kinds that authenticate or authorize and are enforced (not in shadow) somewhere. Sorted. */
  readonly authentication: readonly string[];
}

export type Guard = 'empties-routes' | 'loses-routes' | 'removes-authentication';

export interface GuardViolation {
  readonly guard: Guard;
  readonly subject: SubjectKey;
  /** One sentence with the figures. */
  readonly message: string;
}

export const guards: readonly Guard[] = ['empties-routes', 'loses-routes', 'removes-authentication'];

/** Below this number of Routes losing most of them is ordinary work. */
const routesGuarded = 10;

const authenticationKinds: ReadonlySet<string> = new Set([
  'jwt', 'tokenIntrospection', 'apiKey', 'basicAuth', 'hmac', 'clientCertificate', 'externalAuth', 'oidcLogin', 'authentication', 'mtls', 'authorization',
]);

/**
 * What is dangerous about going from one snapshot to the next, without what was granted. Empty: go. A first snapshot is
 * never dangerous. Runs before a write is committed and again in the sidecar.
 */
export function checkGuards(previous: SnapshotSummary | null, next: SnapshotSummary, granted: ReadonlySet<string>): readonly GuardViolation[] {
  if (previous === null) return [];
  const found: GuardViolation[] = [];
  const report = (guard: Guard, message: string): void => {
    if (!granted.has(guard)) found.push({ guard, subject: next.subject, message });
  };
  const emptied = next.ownRoutes === 0 && previous.ownRoutes > 0;
  if (emptied && next.subject.startsWith('gateway/')) {
    report('empties-routes', `${next.subject} had ${previous.ownRoutes} routes and would have none`);
  } else if (previous.ownRoutes >= routesGuarded && next.ownRoutes * 2 < previous.ownRoutes) {
    report('loses-routes', `${next.subject} had ${previous.ownRoutes} routes and would have ${next.ownRoutes}`);
  }
  if (previous.authentication.length > 0 && next.authentication.length === 0) {
    report('removes-authentication', `${next.subject} would have none of ${previous.authentication.join(', ')} any more`);
  }
  return found;
}

export function summarize(snapshot: Snapshot): SnapshotSummary {
  const { subject, hash, routes, destinations, settings } = snapshot;
  const scope = subject.kind === 'gateway' ? 'gateway' : 'inbound';
  let ownRoutes = 0;
  for (const route of routes) if (route.scope === scope) ownRoutes++;
  const authentication = new Set<string>();
  for (const each of settings.values()) addAuthentication(each, authentication);
  return Object.freeze({
    subject: subjectKey(subject),
    hash,
    ownRoutes,
    destinations: destinations.size,
    authentication: Object.freeze([...authentication].sort()),
  });
}

function addAuthentication(settings: EffectiveSettings, into: Set<string>): void {
  for (const { kind, shadow, settings: own } of settings.sections) if (!shadow && authenticationKinds.has(kind) && (kind !== 'mtls' || asksForCertificates(own))) into.add(kind);
}

/** Certificates that are taken where they are shown keep nobody out. */
function asksForCertificates(settings: unknown): boolean {
  const { mode, ports } = settings as { readonly mode?: unknown; readonly ports?: ReadonlyMap<string, unknown> };
  return mode === 'strict' || [...(ports?.values() ?? [])].includes('strict');
}
