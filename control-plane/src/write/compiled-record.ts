import type { Compilation } from '../compile/compilation.ts';
import type { Steps } from '@remora/core/steps';
import type { CompiledRecord } from '../store/store.ts';
import type { SubjectKey } from '@remora/core/subject';

const resourcesPerStep = 1_024;

/** What of a compilation the store does not have yet, given the one before. */
export function* compiledRecord(before: Compilation | null, after: Compilation, changed: ReadonlySet<SubjectKey>): Steps<CompiledRecord> {
  const manifests = new Map<string, string>();
  const blobs = new Map<string, Uint8Array>();
  const references = new Map<string, readonly string[]>();
  let looked = 0;
  for (const key of changed) {
    yield;
    const subject = after.subjects.get(key);
    manifests.set(key, subject?.hash ?? '');
    if (!subject) continue;
    const known = before?.subjects.get(key)?.resources;
    blobs.set(subject.hash, subject.manifest);
    for (const [hash, bytes] of subject.resources) {
      if (!known?.has(hash)) blobs.set(hash, bytes);
      if (++looked % resourcesPerStep === 0) yield;
    }
    references.set(subject.hash, [...subject.resources.keys()]);
  }
  return { manifests, blobs, references };
}
