import { loadDocuments } from '@remora/model/load-documents';
import { createModel } from '@remora/model/model';
import { sampleKinds, sampleWireKinds } from '@remora/testing/sample-kinds';
import type { DocumentKey, StoredDocument } from '../../store/store.ts';
import { IncrementalPlanner } from '../incremental-planner.ts';
import type { Planned, Planner } from '../planner.ts';

export const sampleModel = createModel({ kinds: sampleKinds, checkRegex: () => null });

/** A planner over the sample kinds that has seen nothing yet. */
export function newPlanner(): Planner {
  return new IncrementalPlanner({ model: sampleModel, kinds: sampleKinds, wireKinds: sampleWireKinds });
}

/** Documents of a YAML text as the store would have them. */
export function documentsOf(text: string): Map<DocumentKey, StoredDocument> {
  const { documents, violations } = loadDocuments([{ name: 'text', bytes: text }]);
  const result = sampleModel.validateDocuments(documents);
  const wrong = [...violations, ...result.violations];
  if (wrong.length > 0) throw new Error(JSON.stringify(wrong));
  return new Map(result.documents.map(({ key, document }) => [key, { key, document, writtenAt: 1, owner: '' }]));
}

/** One state after the other: applied documents replace, `delete` takes keys away. */
export class Steps {
  readonly planner = newPlanner();
  documents = new Map<DocumentKey, StoredDocument>();
  planned: Planned | null = null;

  try(text: string, gone: readonly DocumentKey[] = []) {
    const applied = documentsOf(text);
    const next = new Map([...this.documents, ...applied]);
    for (const key of gone) next.delete(key);
    const result = this.planner.plan(this.planned, next, [...applied.keys(), ...gone]);
    if (result.ok) {
      this.planned = result.planned;
      this.documents = next;
    }
    return result;
  }

  /** The new state; throws where it is refused. */
  apply(text: string, gone: readonly DocumentKey[] = []): Planned {
    const result = this.try(text, gone);
    if (!result.ok) throw new Error(JSON.stringify(result.violations));
    return result.planned;
  }
}
