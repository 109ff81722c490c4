import { guards as snapshotGuards } from '@remora/snapshot/guards';
import type { SubjectKey } from '@remora/core/subject';
import { subjectKey } from '@remora/core/subject';
import { suggest } from '@remora/core/suggest';
import type { GuardFinding, Planned } from '../compile/planner.ts';
import type { DocumentChange, DocumentKey, Grant } from '../store/store.ts';
import { WriteError } from './write-error.ts';

/** Every guard that `force` can lift. */
export const knownGuards: readonly string[] = [...snapshotGuards, 'in-use', 'mtls'];

/** Deleting what running sidecars work for; forced, they keep their last snapshot and are shown as orphaned. */
export function inUseFindings(changes: readonly DocumentChange[], sidecars: () => readonly { readonly subject: SubjectKey; readonly connected: boolean }[]): GuardFinding[] {
  const deleted = changes.flatMap(({ key, after }) => {
    const subject = after === null ? subjectOf(key) : null;
    return subject ? [{ key, subject }] : [];
  });
  if (deleted.length === 0) return [];
  const live = new Map<SubjectKey, number>();
  for (const { subject, connected } of sidecars()) if (connected) live.set(subject, (live.get(subject) ?? 0) + 1);
  const found: GuardFinding[] = [];
  for (const { key, subject } of deleted) {
    const count = live.get(subjectKey(subject)) ?? 0;
    if (count > 0) found.push({ guard: 'in-use', subject, message: `${key} has ${count} connected sidecar${count === 1 ? '' : 's'}` });
  }
  return found;
}

export function checkForce(force: readonly string[]): void {
  for (const guard of force) {
    if (knownGuards.includes(guard)) continue;
    const near = suggest(guard, knownGuards);
    throw new WriteError('unknown-guard', `force=${guard}: there is no such guard${near ? `; did you mean ${near}?` : ''}`, { facts: { guards: knownGuards } });
  }
}

/**
 * What `force` puts into the log: each guard named, for the subjects where it tripped here and for all that this write
 * touches, because a sidecar that missed revisions compares with an older state than we do.
 */
export function grantsOf(force: readonly string[], findings: readonly GuardFinding[], touched: Iterable<SubjectKey>): Grant[] {
  const subjects = new Set<string>(touched);
  for (const { subject } of findings) subjects.add(subjectKey(subject));
  if (subjects.size === 0) return [];
  return [...new Set(force)].sort().map((guard) => ({ guard, subjects: [...subjects].sort() }));
}

/** Subjects that the named documents can touch: what a grant means where nothing changes. */
export function subjectsOfDocuments(keys: Iterable<DocumentKey>, planned: Planned): Set<SubjectKey> {
  const subjects = new Set<SubjectKey>();
  for (const key of keys) {
    const subject = subjectOf(key) ?? ownerOfRoute(planned, key);
    if (!subject) return new Set(planned.compilation.subjects.keys());
    subjects.add(subjectKey(subject));
  }
  return subjects;
}

function subjectOf(key: DocumentKey): { readonly kind: 'service' | 'gateway'; readonly name: string } | null {
  if (key.startsWith('Service/')) return { kind: 'service', name: key.slice('Service/'.length) };
  if (key.startsWith('Gateway/')) return { kind: 'gateway', name: key.slice('Gateway/'.length) };
  return null;
}

function ownerOfRoute(planned: Planned, key: DocumentKey): { readonly kind: 'service' | 'gateway'; readonly name: string } | null {
  const document = key.startsWith('Route/') ? planned.documents.get(key)?.document : undefined;
  if (typeof document?.['gateway'] === 'string') return { kind: 'gateway', name: document['gateway'] };
  if (typeof document?.['service'] === 'string') return { kind: 'service', name: document['service'] };
  return null;
}
