import { makeField } from '@remora/http/header-ids';
import type { Layer } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { loadBalancingWire, type LoadBalancingSettings } from './wire.ts';

/** Marks calls with headers. Replace this by what loadBalancing is for. */
export const loadBalancingRuntime: RuntimeKind<LoadBalancingSettings> = {
  ...loadBalancingWire,
  side: 'caller',
  reasons: [],
  layer: (settings, context) => (settings.marks.length === 0 ? null : createLayer(settings, context)),
};

/** Built once per snapshot: what can be prepared is prepared here. */
function createLayer(settings: LoadBalancingSettings, context: FilterContext): Layer {
  const fields = settings.marks.map(({ name, value }) => makeField(name, value));
  const marked = context.counter('loadBalancing_marked');
  return (next) => (call, response) => {
    for (const field of fields) {
      call.head.remove(field.id);
      call.head.put(field);
    }
    marked();
    return next(call, response);
  };
}
