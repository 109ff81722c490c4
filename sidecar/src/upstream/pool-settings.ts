import type { ConnectionPoolSettings } from '@remora/policy-connection-pool/wire';
import type { EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { PoolLimits } from './pool-limits.ts';

/** What the `connectionPool` section of a destination says of its pools. */
export interface PoolSettings {
  /** Tells settings apart: pools of different ones are never mixed. */
  readonly key: string;
  readonly limits: PoolLimits;
  /** HTTP/1.1, whatever the instance takes. */
  readonly http1Only: boolean;
}

/** Null: there is no section, and pools are as `defaultPoolLimits` has it. */
export function poolSettingsOf(settings: EffectiveSettings): PoolSettings | null {
  const section = settings.sections.find(({ kind }) => kind === 'connectionPool');
  if (section === undefined) return null;
  const found = section.settings as ConnectionPoolSettings;
  let made = known.get(found);
  if (made === undefined) {
    made = fromSettings(found);
    known.set(found, made);
  }
  return made;
}

const known = new WeakMap<ConnectionPoolSettings, PoolSettings>();

function fromSettings(settings: ConnectionPoolSettings): PoolSettings {
  const limits: PoolLimits = Object.freeze({
    connectionsMax: settings.connections,
    waitingMax: settings.pending,
    idleTimeoutMs: settings.idleMs,
    requestsPerConnectionMax: settings.requestsPerConnection || Number.MAX_SAFE_INTEGER,
    streamsPerConnectionMax: settings.streams,
    keepAliveMs: settings.pingMs,
    keepAliveTimeoutMs: settings.pingTimeoutMs,
    keepAliveIdle: settings.pingIdle,
    maxAgeMs: settings.maxAgeMs,
    maxAgeJitter: settings.maxAgeJitter,
    tcpKeepaliveMs: settings.tcpKeepaliveMs,
  });
  return Object.freeze({ key: JSON.stringify(settings), limits, http1Only: settings.protocol === 'http1' });
}
