import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { connectionPoolWire, type ConnectionPoolSettings } from './wire.ts';

/** Pools take their settings from the section when a snapshot is built (`sidecar/src/upstream/pool-settings.ts`): no call passes here. */
export const connectionPoolRuntime: RuntimeKind<ConnectionPoolSettings> = {
  ...connectionPoolWire,
  side: 'caller',
  tcp: true,
  reasons: [],
  layer: () => null,
};
