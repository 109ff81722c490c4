import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { ConnectionPool } from './gen/connection-pool.ts';

export interface ConnectionPoolSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const connectionPoolWire = { name: 'connectionPool', format: 1, decode: decodeConnectionPool } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeConnectionPool(bytes: Uint8Array): ConnectionPoolSettings {
  const message = decodeMessage(ConnectionPool, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
