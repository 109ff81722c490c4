import { parseDurationMs, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Fallback, type Answer, type Stale, type To } from './gen/fallback.ts';
import { checkFallback, failureReasons, fallbackDefaults, fallbackSchema, grpcFailures, partDefaults, type EffectiveFallback } from './schema.ts';

/** What answers when every attempt failed: caller side. */
export const fallbackAuthoring: AuthoringKind = {
  name: 'fallback',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: fallbackSchema,
  defaults: fallbackDefaults,
  check: checkFallback,
  compile: (effective) => ({ minFormat: 1, body: Fallback.encode(toMessage(effective as unknown as EffectiveFallback)).finish() }),
};

function toMessage({ when, to, stale, answer }: EffectiveFallback): Fallback {
  const named = when.filter((one) => typeof one === 'string');
  return {
    onFailure: named.includes('failure'),
    reasons: [...new Set(named.filter((one) => failureReasons.includes(one)))].sort(),
    statuses: statusesOf(when),
    grpcStatuses: [...new Set(named.map((one) => grpcFailures.get(one)).filter((code) => code !== undefined))].sort((a, b) => a - b),
    to: to && toDestination(to),
    stale: stale && toStale(stale),
    answer: answer && toAnswer(answer),
  };
}

function statusesOf(when: readonly (string | number)[]): number[] {
  const statuses = new Set(when.filter((one) => typeof one === 'number'));
  if (when.includes('gateway-error')) for (const status of [502, 503, 504]) statuses.add(status);
  if (when.includes('5xx')) for (let status = 500; status < 600; status += 1) statuses.add(status);
  return [...statuses].sort((a, b) => a - b);
}

function toDestination(part: NonNullable<EffectiveFallback['to']>): To {
  const { service = '', port, labels, replayBuffer } = { ...partDefaults.to, ...part };
  return { service, port, labels: Object.entries<string>(labels).map(([key, value]) => `${key}=${value}`).sort(), replayBytes: parseSizeBytes(replayBuffer) ?? 0 };
}

function toStale(part: NonNullable<EffectiveFallback['stale']>): Stale {
  const { maxAge, entries, bytes, bodyMax, keyHeaders, authorized } = { ...partDefaults.stale, ...part };
  return {
    maxAgeMs: BigInt(parseDurationMs(maxAge) ?? 0), entries, bytes: BigInt(parseSizeBytes(bytes) ?? 0), bodyBytes: parseSizeBytes(bodyMax) ?? 0,
    keyHeaders: [...new Set(keyHeaders.map((name) => name.toLowerCase()))].sort(), authorized,
  };
}

function toAnswer(part: NonNullable<EffectiveFallback['answer']>): Answer {
  const { status, headers, body, grpcStatus } = { ...partDefaults.answer, ...part };
  const named = Object.entries<string>(headers).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { status, headers: named.sort((a, b) => (a.name < b.name ? -1 : 1)), body, grpcStatus };
}
