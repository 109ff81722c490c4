import { runSteps } from '@remora/core/steps';
import type { Violation } from '@remora/core/violation';
import { createPlanner } from '@remora/control-plane/compile/planner';
import { violationsBeside } from '@remora/control-plane/compile/unread-documents';
import { authoringKinds, wireKinds } from '@remora/control-plane/kinds';
import type { StoredDocument } from '@remora/control-plane/store/store';
import { createModel } from '@remora/model/model';
import { checkRegex } from '@remora/router/regex';
import type { DocumentInput } from './document-input.ts';

/**
 * Everything that is wrong with documents that are the whole mesh, found without a control plane by the code that it runs
 * before a write: each document by itself, then references, conflicts, bounds, compilation and decoding.
 */
export function checkOffline(input: DocumentInput): readonly Violation[] {
  const model = createModel({ kinds: authoringKinds, checkRegex });
  const { documents, violations } = model.validateDocuments(input.documents);
  const planner = createPlanner({ kinds: authoringKinds, wireKinds, model });
  const found = [...input.violations, ...violations];
  // A wrong path or an empty template in a pipeline must not look like success.
  if (found.length === 0 && input.documents.length === 0) return [{ pointer: '', code: 'no-document', message: 'the input has no document' }];
  if (found.length > 0) {
    const beside = runSteps(violationsBeside(planner, { previous: null, documents: new Map() }, { loaded: input.documents, valid: documents, lost: input.violations.length > 0 }));
    return input.withSources([...found, ...beside]);
  }
  const stored = new Map<StoredDocument['key'], StoredDocument>(documents.map(({ key, document }) => [key, { key, document, writtenAt: 0, owner: '' }]));
  const plan = planner.plan(null, stored, stored.keys());
  return plan.ok ? [] : input.withSources(plan.violations);
}
