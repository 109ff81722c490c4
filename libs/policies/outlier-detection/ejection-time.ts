import type { Random } from '@remora/core/random';
import type { OutlierDetectionSettings } from './wire.ts';

/** How long the ejection lasts that makes it so many: longer each time, up to a bound, and jitter beyond so that hosts do not return together. */
export function ejectionMs(times: number, { baseEjectionMs, maxEjectionMs, jitterMs }: Pick<OutlierDetectionSettings, 'baseEjectionMs' | 'maxEjectionMs' | 'jitterMs'>, random: Random): number {
  return Math.min(baseEjectionMs * times, maxEjectionMs) + random.next() * jitterMs;
}
