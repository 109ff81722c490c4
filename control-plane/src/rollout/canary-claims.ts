import type { Violation } from '@remora/core/violation';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { DocumentChange, DocumentKey, StoredDocument } from '../store/store.ts';
import type { Intent, SameMeaning } from '../write/intended-changes.ts';
import type { WriteClaims } from '../write/write-claims.ts';
import { WriteError } from '../write/write-error.ts';
import type { CanaryBook } from './canary-book.ts';
import { isLive, madeItsRoute } from './canary-run.ts';
import type { CanaryRun } from './canary-run.ts';
import { sameRollout } from './same-rollout.ts';
import { startProblems } from './canary-start-check.ts';

/** What running canaries have for themselves: the Routes that they move, and what their own documents say. And what a Canary that would begin needs. */
export class CanaryClaims implements WriteClaims {
  readonly #book: CanaryBook;
  readonly #same: SameMeaning;

  constructor(book: CanaryBook, same: SameMeaning) {
    this.#book = book;
    this.#same = same;
  }

  check({ intent, changes, documents, claimant }: { readonly intent: Intent; readonly changes: readonly DocumentChange[]; readonly documents: ReadonlyMap<DocumentKey, StoredDocument>; readonly claimant: string }): Violation[] {
    if (claimant !== '') return [];
    const found: Violation[] = [];
    const starting = new Map<string, string>();
    for (const { key, before, after } of changes) {
      const owner = this.#book.ownerOf(key);
      if (owner !== null) throw owned(key, owner);
      if (!key.startsWith('Canary/') || after === null) continue;
      const canary = after as unknown as CanaryDocument;
      const run = this.#book.get(canary.name);
      if (run !== null && before !== null && sameRollout(run.document, canary, this.#same)) continue;
      if (run !== null && isLive(run)) throw owned(key, run);
      // Whoever goes back to an earlier state wants that state, not another rollout.
      if (intent.kind === 'apply') found.push(...this.#startProblems(canary, documents, starting));
    }
    return found;
  }

  #startProblems(canary: CanaryDocument, documents: ReadonlyMap<DocumentKey, StoredDocument>, starting: Map<string, string>): Violation[] {
    const { name, service } = canary;
    const other = this.#book.liveOn(service)?.name ?? starting.get(service);
    if (other !== undefined) return [{ document: `Canary/${name}`, pointer: '/service', code: 'contradiction', message: `Canary/${other} is moving the traffic of Service/${service}: figures of two would be mixed up`, expected: 'one canary of a service at a time' }];
    starting.set(service, name);
    return startProblems(canary, documents, madeItsRoute(this.#book.get(name)));
  }
}

function owned(key: DocumentKey, { name, phase, step }: CanaryRun): WriteError {
  const doing = { running: `is at step ${step + 1}`, completing: 'is giving everything to the candidate', reverting: 'is taking its weights back' }[phase as 'running' | 'completing' | 'reverting'];
  const own = key === `Canary/${name}`;
  const what = own ? `Canary/${name} ${doing}: what it says counts until it ends` : `${key} belongs to Canary/${name}, which ${doing}`;
  return new WriteError('owned-by-canary', `${what}. Wait for its end, or end it: remora canary abort ${name}`, { facts: { document: key, canary: name } });
}
