import { makeField } from '@remora/http/header-ids';
import type { EdgeFilter } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { concurrencyWire, type ConcurrencySettings } from './wire.ts';

/** Marks responses with headers. Replace this by what concurrency is for. */
export const concurrencyRuntime: RuntimeKind<ConcurrencySettings> = {
  ...concurrencyWire,
  side: 'provider',
  reasons: [],
  edge: (settings, context) => (settings.marks.length === 0 ? null : createFilter(settings, context)),
};

/** Built once per snapshot: what can be prepared is prepared here. */
function createFilter(settings: ConcurrencySettings, context: FilterContext): EdgeFilter {
  const fields = settings.marks.map(({ name, value }) => makeField(name, value));
  const marked = context.counter('concurrency_marked');
  return {
    kind: 'concurrency',
    response(_x, head) {
      for (const field of fields) {
        head.remove(field.id);
        head.put(field);
      }
      marked();
    },
  };
}
