import type { JsonObject } from '@remora/core/canonical-json';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { SameMeaning } from '../write/intended-changes.ts';

/** Whether two versions of a Canary mean the same rollout: its labels say nothing about that. */
export function sameRollout(a: CanaryDocument, b: CanaryDocument, same: SameMeaning): boolean {
  return same(withoutLabels(a), withoutLabels(b));
}

function withoutLabels(canary: CanaryDocument): JsonObject {
  const rest: Record<string, unknown> = { ...canary };
  delete rest['labels'];
  return rest as JsonObject;
}
