import type { JsonObject } from '@remora/core/canonical-json';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import type { OriginalRoute } from './canary-run.ts';

/** The documents that a canary moves: the Routes it names, or one of its own, which has its name. */
export function movedKeys({ name, routes }: CanaryDocument): DocumentKey[] {
  return (routes ?? [name]).map((route): DocumentKey => `Route/${route}`);
}

export function originalRoutes(canary: CanaryDocument, documents: ReadonlyMap<DocumentKey, StoredDocument>): OriginalRoute[] {
  return movedKeys(canary).map((key) => ({ key, document: documents.get(key)?.document ?? null }));
}

/** A Route while the candidate has `weight` percent; with 100, as it stays: nothing but the candidate, and no stickiness, for nothing is left to choose. */
export function routeAt(canary: CanaryDocument, { key, document }: OriginalRoute, weight: number): JsonObject {
  const { sticky: usual, ...route } = document ?? { kind: 'Route', name: key.slice('Route/'.length), service: canary.service };
  const candidate = { labels: canary.candidate.labels, weight };
  if (weight === 100) return { ...route, to: [candidate] };
  const sticky = canary.sticky ?? usual;
  return { ...route, to: [{ labels: canary.stable.labels, weight: 100 - weight }, candidate], ...(sticky !== undefined && { sticky }) };
}

/** As it was, for a canary that ends badly. One that there was not sends everything to stable. */
export function routeBefore(canary: CanaryDocument, { key, document }: OriginalRoute): JsonObject {
  return document ?? { kind: 'Route', name: key.slice('Route/'.length), service: canary.service, to: [{ labels: canary.stable.labels, weight: 100 }] };
}

/** `version=v2`, for people. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`).sort().join(', ');
}
