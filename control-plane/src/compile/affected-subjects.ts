import type { Steps } from '@remora/core/steps';
import type { SubjectKey } from '@remora/core/subject';
import { ownerOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import { hasLabels } from '../resolve/place-policies.ts';
import type { PolicyRecord } from '../resolve/policy-index.ts';
import { rankOf } from '../resolve/policy-index.ts';
import type { DocumentKey } from '../store/store.ts';
import { planSharing } from './plan-sharing.ts';

const keysPerStep = 256;

/**
 * Subjects whose compilation the changed documents can touch, in the states before and after. May name more than really
 * change, never fewer. `all`: every subject of both states.
 */
export function* affectedSubjects(before: DocumentState, after: DocumentState, changed: Iterable<DocumentKey>): Steps<ReadonlySet<SubjectKey> | 'all'> {
  const affected = new Set<SubjectKey>();
  let looked = 0;
  for (const key of changed) {
    if (++looked % keysPerStep === 0) yield;
    const slash = key.indexOf('/');
    const kind = key.slice(0, slash);
    const name = key.slice(slash + 1);
    if (kind === 'Mesh') return 'all';
    // They travel beside snapshots, or in Routes that others write; but the first Plan, or the last, whose counts are shared decides who needs the store.
    if (kind === 'Plan' && !sameSharing(before, after)) return 'all';
    if (kind === 'Consumer' || kind === 'Plan' || kind === 'Canary') continue;
    for (const state of [before, after]) {
      if (kind === 'Service') addService(state, name, affected);
      else if (kind === 'Gateway') affected.add(`gateway/${name}`);
      else if (kind === 'Route') addRoute(state, name, affected);
      else if (addPolicy(state, state.policies.record(name), affected) === 'all') return 'all';
    }
  }
  return affected;
}

function sameSharing(before: DocumentState, after: DocumentState): boolean {
  const [a, b] = [planSharing(before.plans), planSharing(after.plans)];
  return a.limits.store === b.limits.store && a.limits.instances === b.limits.instances && a.quotas === b.quotas;
}

/** The service itself, and who calls it. */
function addService(state: DocumentState, name: string, affected: Set<SubjectKey>): void {
  affected.add(`service/${name}`);
  for (const caller of state.callers.get(name) ?? []) affected.add(caller);
}

function addRoute(state: DocumentState, name: string, affected: Set<SubjectKey>): void {
  const route = state.routeByName.get(name);
  if (!route) return;
  const owner = ownerOf(route);
  if (route.service === undefined) affected.add(owner);
  else addService(state, route.service, affected);
}

function addPolicy(state: DocumentState, record: PolicyRecord | undefined, affected: Set<SubjectKey>): 'all' | undefined {
  if (!record) return undefined;
  const { target, from } = record.policy;
  const add = (service: string): void => {
    affected.add(`service/${service}`);
    if (!record.concerns.caller) return;
    if (from?.service !== undefined) affected.add(`service/${from.service}`);
    else if (from?.gateway !== undefined) affected.add(`gateway/${from.gateway}`);
    else addService(state, service, affected);
  };
  switch (rankOf(target)) {
    case 'everything':
    case 'allServices':
      return 'all';
    case 'allGateways':
      for (const gateway of state.gateways.keys()) affected.add(`gateway/${gateway}`);
      return undefined;
    case 'gateway':
    case 'gatewayRoute':
      affected.add(`gateway/${target.gateway ?? ''}`);
      return undefined;
    case 'service':
    case 'serviceRoute':
      add(target.service ?? '');
      return undefined;
    case 'labelledServices': {
      const wanted = typeof target.services === 'object' ? target.services.labels : {};
      for (const [name, { labels }] of state.services) if (hasLabels(labels, wanted)) add(name);
      return undefined;
    }
  }
}
