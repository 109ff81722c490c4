import { canonicalJson } from '@remora/core/canonical-json';
import { contentHash } from '@remora/core/hash';
import type { Steps } from '@remora/core/steps';
import { sortInSteps } from '../sort-in-steps.ts';
import type { Planned } from '../compile/planner.ts';
import type { DocumentChange } from '../store/store.ts';

/**
 * Names a plan by what it does: the changes of documents, and what the sidecars concerned would enforce. Writes to other
 * documents leave it as it is, unless they change what these sidecars would get.
 */
export function* planHash(changes: readonly DocumentChange[], planned: Planned): Steps<string> {
  const subjects = [...planned.changed].sort().map((key) => [key, planned.compilation.subjects.get(key)?.hash ?? '']);
  let documents = '';
  for (const { key, before, after, ownerBefore, ownerAfter } of yield* sortInSteps(changes, (a, b) => (a.key < b.key ? -1 : 1))) {
    documents += contentHash(canonicalJson({ key, before, after, ownerBefore, ownerAfter }));
    yield;
  }
  return contentHash(canonicalJson({ documents: contentHash(documents), subjects })).slice(0, 32);
}
