import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { healthCheckWire, type HealthCheckSettings } from './wire.ts';

/** Nothing on the way of calls: hosts are asked by the control thread, and balancers see what it found in `HostStates`. */
export const healthCheckRuntime: RuntimeKind<HealthCheckSettings> = {
  ...healthCheckWire,
  side: 'caller',
  tcp: true,
  reasons: [],
  layer: () => (next) => next,
};
