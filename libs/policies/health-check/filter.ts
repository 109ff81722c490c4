import { makeField } from '@remora/http/header-ids';
import type { Layer } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { healthCheckWire, type HealthCheckSettings } from './wire.ts';

/** Marks calls with headers. Replace this by what healthCheck is for. */
export const healthCheckRuntime: RuntimeKind<HealthCheckSettings> = {
  ...healthCheckWire,
  side: 'caller',
  reasons: [],
  layer: (settings, context) => (settings.marks.length === 0 ? null : createLayer(settings, context)),
};

/** Built once per snapshot: what can be prepared is prepared here. */
function createLayer(settings: HealthCheckSettings, context: FilterContext): Layer {
  const fields = settings.marks.map(({ name, value }) => makeField(name, value));
  const marked = context.counter('healthCheck_marked');
  return (next) => (call, response) => {
    for (const field of fields) {
      call.head.remove(field.id);
      call.head.put(field);
    }
    marked();
    return next(call, response);
  };
}
