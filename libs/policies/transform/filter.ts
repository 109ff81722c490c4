import type { EdgeFilter } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { createHeaderEditor } from './header-editor.ts';
import { createQueryEditor } from './query-editor.ts';
import { transformWire, type TransformSettings } from './wire.ts';

/** Edits headers and query of requests, and headers of responses. */
export const transformRuntime: RuntimeKind<TransformSettings> = {
  ...transformWire,
  side: 'provider',
  reasons: [],
  edge: createFilter,
};

function createFilter(settings: TransformSettings, context: FilterContext): EdgeFilter | null {
  const options = { random: context.random, clock: context.clock };
  const editRequest = createHeaderEditor(settings.requestHeaders, options);
  const editResponse = createHeaderEditor(settings.responseHeaders, options);
  const editQuery = createQueryEditor(settings.query, options);
  if (editRequest === null && editResponse === null && editQuery === null) return null;
  const filter: EdgeFilter = { kind: 'transform' };
  if (editRequest !== null || editQuery !== null) {
    filter.request = (x) => {
      // Variables of headers see the query as the client sent it.
      if (editRequest !== null) editRequest(x, x.head);
      if (editQuery !== null) {
        const query = editQuery(x, x.head.query);
        if (query !== x.head.query) x.head.setTarget(x.head.path, query);
      }
      return null;
    };
  }
  if (editResponse !== null) filter.response = (x, head) => editResponse(x, head);
  return filter;
}
