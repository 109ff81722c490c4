import type { Steps } from '@remora/core/steps';
import type { Violation } from '@remora/core/violation';
import type { LoadedDocument } from '@remora/model/load-documents';
import type { ValidDocument } from '@remora/model/model';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import type { Planned, Planner } from './planner.ts';

/** An input of which some documents are wrong by themselves. */
export interface PartlyValidInput {
  readonly loaded: readonly LoadedDocument[];
  /** Those of them that are right by themselves. */
  readonly valid: readonly ValidDocument[];
  /** Some could not even be loaded: what they would have been called is not known. */
  readonly lost: boolean;
}

/** What is wrong with the right ones of an input given the others and the state, so that one answer tells everything. */
export function* violationsBeside(planner: Planner, state: { readonly previous: Planned | null; readonly documents: ReadonlyMap<DocumentKey, StoredDocument> }, { loaded, valid, lost }: PartlyValidInput): Steps<readonly Violation[]> {
  const next = new Map(state.documents);
  for (const { key, document } of valid) next.set(key, { key, document, writtenAt: 0, owner: '' });
  const right = new Set<string>(valid.map(({ key }) => key));
  const unreadable = new Set<DocumentKey>();
  let nameless = lost;
  for (const { value: { kind, name } } of loaded) {
    if (typeof kind !== 'string' || typeof name !== 'string') nameless = true;
    else if (!right.has(`${kind}/${name}`)) unreadable.add(`${kind}/${name}`);
  }
  const found = yield* planner.checkInSteps(state.previous, next, valid.map(({ key }) => key), unreadable);
  return nameless ? found.filter(({ code }) => !namingCodes.has(code)) : found;
}

/** Told only where every name of the input is known. */
const namingCodes: ReadonlySet<string> = new Set(['unknown-service', 'unknown-gateway', 'unknown-route']);
