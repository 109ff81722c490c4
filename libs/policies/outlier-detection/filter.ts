import type { Layer } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind, SharedMemory } from '@remora/policy-kit/runtime-kind';
import { HostRows } from './host-rows.ts';
import { OutlierWatch } from './outlier-watch.ts';
import { outlierDetectionWire, type OutlierDetectionSettings } from './wire.ts';

/** Has a watch look at how attempts end, which takes hosts that fail out for a while. */
export const outlierDetectionRuntime: RuntimeKind<OutlierDetectionSettings> = {
  ...outlierDetectionWire,
  side: 'caller',
  tcp: true,
  reasons: [],
  layer: makeLayer,
};

function makeLayer(settings: OutlierDetectionSettings, context: FilterContext): Layer {
  const watch = new OutlierWatch(settings, context, rowsMemory(context));
  return (next) => (call, response) => {
    call.watch = watch;
    return next(call, response);
  };
}

/** One table for all destinations: slots are of the whole sidecar, and a host is of one destination. Counts live as long as any place asks for them. */
function rowsMemory(context: FilterContext): SharedMemory {
  return context.shared?.(owner, shape, HostRows.bytes) ?? context.live.keep(owner, shape, () => ({ buffer: new SharedArrayBuffer(HostRows.bytes) }));
}

const owner = 'outlierDetection';
const shape = 'rows of 8 words';
