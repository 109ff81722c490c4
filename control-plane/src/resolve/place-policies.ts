import type { SubjectKey } from '@remora/core/subject';
import type { TargetDocument } from '@remora/model/target-schema';
import type { DocumentState } from './document-state.ts';
import type { KindSide, PolicyBucket, PolicyRecord } from './policy-index.ts';

/** Where settings are looked for, in a form that is cheap to make. */
export interface Spot {
  /** Provider side: whose sidecar enforces. Caller side: the service that is called. */
  readonly owner: SubjectKey;
  /** Route of the owner; '' where none matched. */
  readonly route: string;
  /** Caller side: who calls; '' for callers that no policy names. */
  readonly caller: SubjectKey | '';
  /** Route of the calling gateway; '' where none. */
  readonly callerRoute: string;
}

/** Policies that hold at a spot for kinds of one side, from weak to strong, by name among equals. */
export function policiesAt(state: DocumentState, side: KindSide, spot: Spot): PolicyRecord[] {
  const found: PolicyRecord[] = [];
  const take = (bucket: PolicyBucket, accepts?: (record: PolicyRecord) => boolean): void => {
    for (const record of bucket.plain) if (record.concerns[side] && (accepts?.(record) ?? true)) found.push(record);
    if (side !== 'caller') return;
    for (const record of bucket.narrowed) if (record.concerns.caller && (accepts?.(record) ?? true) && callsFrom(state, record, spot.caller)) found.push(record);
  };
  const index = state.policies;
  take(index.bucket('everything'));
  if (spot.owner.startsWith('service/')) takeService(state, spot, take);
  const gateway = spot.owner.startsWith('gateway/') ? spot.owner : spot.caller;
  if (gateway.startsWith('gateway/')) {
    const name = gateway.slice('gateway/'.length);
    const route = spot.owner === gateway ? spot.route : spot.callerRoute;
    take(index.bucket('allGateways'));
    take(index.bucket('gateway', name));
    if (route !== '') take(index.bucket('gatewayRoute', name, route));
  }
  return found;
}

function takeService(state: DocumentState, spot: Spot, take: (bucket: PolicyBucket, accepts?: (record: PolicyRecord) => boolean) => void): void {
  const name = spot.owner.slice('service/'.length);
  const index = state.policies;
  const labels = state.services.get(name)?.labels;
  take(index.bucket('allServices'));
  take(index.labelled(), (record) => {
    const wanted = record.policy.target.services;
    return typeof wanted === 'object' && hasLabels(labels, wanted.labels);
  });
  take(index.bucket('service', name));
  if (spot.route !== '') take(index.bucket('serviceRoute', name, spot.route));
}

/** Whether a policy's `from` takes in a caller. */
export function callsFrom(state: DocumentState, record: PolicyRecord, caller: SubjectKey | ''): boolean {
  const from = record.policy.from;
  if (from === undefined) return true;
  if (from.service !== undefined) return caller === `service/${from.service}`;
  if (from.gateway !== undefined) return caller === `gateway/${from.gateway}`;
  return caller !== '' && from.labels !== undefined && hasLabels(labelsOf(state, caller), from.labels);
}

function labelsOf(state: DocumentState, subject: SubjectKey): Readonly<Record<string, string>> | undefined {
  const name = subject.slice(subject.indexOf('/') + 1);
  return subject.startsWith('service/') ? state.services.get(name)?.labels : state.gateways.get(name)?.labels;
}

export function hasLabels(labels: Readonly<Record<string, string>> | undefined, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => labels !== undefined && Object.hasOwn(labels, key) && labels[key] === value);
}

/** Whether a target takes in a spot: for exceptions of bounds. Exceptions name callees and gateways. */
export function targetCovers(state: DocumentState, target: TargetDocument, spot: Spot): boolean {
  const service = spot.owner.startsWith('service/') ? spot.owner.slice('service/'.length) : null;
  const gatewayKey = spot.owner.startsWith('gateway/') ? spot.owner : spot.caller;
  const gateway = gatewayKey.startsWith('gateway/') ? gatewayKey.slice('gateway/'.length) : null;
  if (target.service !== undefined) return target.service === service && (target.route === undefined || target.route === spot.route);
  if (target.gateway !== undefined) {
    const route = spot.owner === gatewayKey ? spot.route : spot.callerRoute;
    return target.gateway === gateway && (target.route === undefined || target.route === route);
  }
  if (target.gateways !== undefined) return gateway !== null;
  if (target.services === 'all') return service !== null;
  return target.services !== undefined && service !== null && hasLabels(state.services.get(service)?.labels, target.services.labels);
}
