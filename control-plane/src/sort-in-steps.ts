import type { Steps } from '@remora/core/steps';

/** Sorted at once; longer lists are merged from such runs. */
const runLength = 1_024;
const mergedPerStep = 4_096;

/** What `toSorted` answers (equal items keep their order), to be interrupted on the way. */
export function* sortInSteps<T>(list: readonly T[], compare: (a: T, b: T) => number): Steps<T[]> {
  if (list.length <= runLength) return list.toSorted(compare);
  let runs: T[][] = [];
  for (let at = 0; at < list.length; at += runLength) {
    runs.push(list.slice(at, at + runLength).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) merged.push(yield* mergeInSteps(runs[at] ?? [], runs[at + 1] ?? [], compare));
    runs = merged;
  }
  return runs[0] ?? [];
}

/** Two sorted lists as one; of equal items those of the first come first. */
export function* mergeInSteps<T>(first: readonly T[], second: readonly T[], compare: (a: T, b: T) => number): Steps<T[]> {
  const merged: T[] = [];
  let at = 0;
  for (const item of second) {
    for (; at < first.length; at++) {
      const other = first[at] as T;
      if (compare(other, item) > 0) break;
      merged.push(other);
      if (merged.length % mergedPerStep === 0) yield;
    }
    merged.push(item);
    if (merged.length % mergedPerStep === 0) yield;
  }
  for (; at < first.length; at++) {
    merged.push(first[at] as T);
    if (merged.length % mergedPerStep === 0) yield;
  }
  return merged;
}
