import type { Field, Head } from '@remora/http/head';
import { headerId, internHeaderName, makeField } from '@remora/http/header-ids';
import type { CountingLimit } from './limit.ts';
import type { RateLimitSettings } from './wire.ts';

/** What a response says about one limit that counted its request. */
export interface Standing {
  readonly limit: CountingLimit;
  readonly remaining: number;
  readonly resetMs: number;
}

/** Adds the style's fields to a response; standings are those of every limit that counted, at least one. */
export type WriteStandings = (head: Head, standings: readonly Standing[]) => void;

export function createWriter(style: RateLimitSettings['headerStyle']): WriteStandings | null {
  switch (style) {
    case 'none': return null;
    case 'draft': return createDraftWriter();
    case 'legacy': return (head, standings) => writeTightest(head, standings, legacyIds);
    case 'kong': return createKongWriter();
  }
}

const seconds = (ms: number): number => Math.ceil(ms / 1000);

/** draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "perIp";q=300;w=60` and `RateLimit: "perIp";r=299;t=60`. */
function createDraftWriter(): WriteStandings {
  // Those of Plans come and go.
  const known = new WeakMap<CountingLimit, DraftParts>();
  return (head, standings) => {
    let text = '';
    for (const { limit, remaining, resetMs } of standings) {
      let parts = known.get(limit);
      if (parts === undefined) known.set(limit, parts = draftParts(limit));
      head.put(parts.policy);
      text += `${text === '' ? '' : ', '}${parts.name}${remaining};t=${seconds(resetMs)}`;
    }
    // Names are looked at once; the rest is digits.
    head.putText(rateLimitId, text);
  };
}

interface DraftParts {
  readonly policy: Field;
  /** What stands before the number that remains: visible ASCII. */
  readonly name: string;
}

function draftParts(limit: CountingLimit): DraftParts {
  const { name, perMs } = limit.settings;
  const shown = name.replaceAll(/[^!#-[\]-~]/g, '_');
  return { policy: makeField('ratelimit-policy', `"${shown}";q=${limit.algorithm.quota};w=${Math.max(1, seconds(perMs))}`), name: `"${shown}";r=` };
}

const rateLimitId = headerId('ratelimit');

interface TripleIds {
  readonly limit: number;
  readonly remaining: number;
  readonly reset: number;
}

const legacyIds: TripleIds = { limit: headerId('x-ratelimit-limit'), remaining: headerId('x-ratelimit-remaining'), reset: headerId('x-ratelimit-reset') };
const kongIds: TripleIds = { limit: headerId('ratelimit-limit'), remaining: headerId('ratelimit-remaining'), reset: headerId('ratelimit-reset') };

/** The styles with one number each show the limit that has least left. */
function writeTightest(head: Head, standings: readonly Standing[], ids: TripleIds): void {
  const tightest = standings.reduce((a, b) => (b.remaining < a.remaining ? b : a));
  head.append(ids.limit, String(tightest.limit.algorithm.quota));
  head.append(ids.remaining, String(tightest.remaining));
  head.append(ids.reset, String(seconds(tightest.resetMs)));
}

const kongUnits: ReadonlyMap<number, string> = new Map([[1000, 'second'], [60_000, 'minute'], [3_600_000, 'hour'], [86_400_000, 'day'], [30 * 86_400_000, 'month']]);

/** Kong's plugin adds a pair per unit of time. */
function createKongWriter(): WriteStandings {
  const units = new Map([...kongUnits].map(([perMs, unit]) =>
    [perMs, { limit: internHeaderName(`x-ratelimit-limit-${unit}`), remaining: internHeaderName(`x-ratelimit-remaining-${unit}`) }] as const));
  return (head, standings) => {
    writeTightest(head, standings, kongIds);
    for (const { limit, remaining } of standings) {
      const ids = units.get(limit.settings.perMs);
      if (!ids || head.has(ids.limit)) continue;
      head.append(ids.limit, String(limit.algorithm.quota));
      head.append(ids.remaining, String(remaining));
    }
  };
}
