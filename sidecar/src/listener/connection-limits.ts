import { defaultRequestLimits, type RequestLimitsSettings } from '@remora/policy-request-limits/wire';
import type { HeadLimits } from '@remora/http/head-scanner';
import type { EffectiveSettings } from '@remora/snapshot/effective-settings';

/** What a client connection may cost, by the `requestLimits` section of the listener's default settings. 0 ms: no limit. */
export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly head: HeadLimits;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  /** Bytes per second. */
  readonly bodyRateMin: number;
  readonly idleTimeoutMs: number;
  readonly requestsPerConnectionMax: number;
  /** HTTP/2: requests at once. */
  readonly streamsMax: number;
  /** HTTP/1.1: whoever ends its side has left, also behind a whole request. */
  readonly halfCloseCancels: boolean;
}

export const defaultConnectionLimits: ConnectionLimits = fromSettings(defaultRequestLimits);

export function connectionLimitsOf(settings: EffectiveSettings): ConnectionLimits {
  const section = settings.sections.find(({ kind }) => kind === 'requestLimits');
  return section === undefined || section.shadow ? defaultConnectionLimits : fromSettings(section.settings as RequestLimitsSettings);
}

function fromSettings(settings: RequestLimitsSettings): ConnectionLimits {
  return Object.freeze({
    connectionsMax: settings.connectionsMax,
    head: Object.freeze({ bytesMax: settings.headerBytesMax, fieldsMax: settings.headerCountMax }),
    headerTimeoutMs: settings.headerTimeoutMs,
    bodyTimeoutMs: settings.bodyTimeoutMs,
    bodyRateMin: settings.bodyRateMin,
    idleTimeoutMs: settings.idleTimeoutMs,
    requestsPerConnectionMax: settings.requestsPerConnectionMax,
    streamsMax: settings.streamsMax,
    halfCloseCancels: settings.halfCloseCancels,
  });
}
