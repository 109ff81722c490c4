import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ConnectionPool } from './gen/connection-pool.ts';
import { checkConnectionPool, connectionPoolSchema, type EffectiveConnectionPool } from './schema.ts';

/** What the control plane knows of connectionPool: caller side. */
export const connectionPoolAuthoring: AuthoringKind = {
  name: 'connectionPool',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: connectionPoolSchema,
  defaults: {},
  check: checkConnectionPool,
  compile: (effective) => ({ minFormat: 1, body: ConnectionPool.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveConnectionPool): ConnectionPool {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
