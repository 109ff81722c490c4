import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { askedSources } from '@remora/model/discovery-schema';
import type { DocumentChange } from '../store/store.ts';
import { setUpBy } from './discovery-keeper.ts';

/** Written Services whose source this control plane is not set up for: they would have no instances, and nobody would say why. `available` absent: all are. */
export function discoveryViolations(changes: readonly DocumentChange[], available: ReadonlySet<string> | undefined): Violation[] {
  if (available === undefined) return [];
  return changes.flatMap(({ key, after }): Violation[] => {
    const discovery = key.startsWith('Service/') ? after?.['discovery'] : undefined;
    if (typeof discovery !== 'object' || discovery === null || Array.isArray(discovery)) return [];
    const wanted = askedSources.find((source) => source === (discovery as JsonObject)['source']);
    if (wanted === undefined || available.has(wanted)) return [];
    return [{ document: key, pointer: '/discovery/source', code: 'not-enforceable', message: `this control plane is not set up for ${wanted}: it would find no instances`, expected: `a control plane with ${setUpBy[wanted]}` }];
  });
}
