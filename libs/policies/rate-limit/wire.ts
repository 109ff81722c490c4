import { readEntryMatch, type EntryMatch } from '@remora/policy-kit/entry-match';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, boundedText, decodeMessage, oneWord, wholeNumber } from '@remora/policy-kit/wire-check';
import { RateLimit, type Limit as LimitMessage } from './gen/rate-limit.ts';
import { rateLimited, limitStoreUnavailable } from './reasons.ts';

const algorithms = ['tokenBucket', 'fixedWindow', 'slidingWindow', 'leakyBucket'] as const;
const keyRules = ['all', 'firstPresent'] as const;
const sharings = ['instance', 'service', 'fleet'] as const;
const storeFailures = ['degrade', 'open', 'closed'] as const;
const headerStyles = ['draft', 'legacy', 'kong', 'none'] as const;

export interface RateLimitSettings {
  readonly limits: readonly LimitSettings[];
  readonly headerStyle: (typeof headerStyles)[number];
  /** Whether the limits of a consumer's Plan hold too. */
  readonly plans: boolean;
}

export interface LimitSettings {
  readonly name: string;
  readonly algorithm: (typeof algorithms)[number];
  /** What one period gives. */
  readonly requests: number;
  readonly perMs: number;
  /** Token bucket: capacity. Leaky bucket: how many may wait. Windows: 0. */
  readonly burst: number;
  readonly key: readonly string[];
  readonly keyRule: (typeof keyRules)[number];
  /** What one request takes. */
  readonly cost: number;
  readonly match: EntryMatch;
  /** Who counts together: each instance by itself, those of the service by equal shares, or all in the store of the Mesh. */
  readonly sharedBy: (typeof sharings)[number];
  /** `fleet`: what holds while the store says nothing. */
  readonly onStoreFailure: (typeof storeFailures)[number];
  /** Keys that are remembered at once; beyond, the stalest is forgotten. */
  readonly maxKeys: number;
}

export const rateLimitWire = { name: 'rateLimit', format: 4, reasons: [rateLimited, limitStoreUnavailable], decode: decodeRateLimit } as const;

function decodeRateLimit(bytes: Uint8Array): RateLimitSettings {
  const message = decodeMessage(RateLimit, bytes);
  const limits = boundedList(message.limits, '/limits', 64).map(readLimit);
  if (new Set(limits.map((limit) => limit.name)).size < limits.length) throw new WireError('/limits', 'duplicate', 'two limits have the same name');
  return Object.freeze({ limits: Object.freeze(limits), headerStyle: oneWord(message.headerStyle, '/headerStyle', headerStyles), plans: !message.withoutPlans });
}

const keyPattern = /^(?:clientAddress|method|path|route|consumer|caller|header\.[!#$%&'*+.^_`|~0-9a-z-]{1,128}|query\.[^\s&=#]{1,128}|claim\.[^\p{Cc}]{1,256})$/u;

function readLimit(message: LimitMessage): LimitSettings {
  const name = boundedText(message.name, '/limits', 63, /^[A-Za-z][A-Za-z0-9_-]*$/);
  const pointer = `/limits/${name}`;
  const algorithm = oneWord(message.algorithm, `${pointer}/algorithm`, algorithms);
  const settings: LimitSettings = {
    name,
    algorithm,
    requests: wholeNumber(message.requests, `${pointer}/requests`, 1, 1_000_000_000),
    perMs: wholeNumber(message.perMs, `${pointer}/per`, 1, 30 * 86_400_000),
    burst: wholeNumber(message.burst, `${pointer}/burst`, algorithm === 'tokenBucket' ? 1 : 0, 1_000_000_000),
    key: boundedList(message.key, `${pointer}/key`, 8).map((part) => boundedText(part, `${pointer}/key`, 262, keyPattern)),
    keyRule: oneWord(message.keyRule, `${pointer}/keyRule`, keyRules),
    cost: wholeNumber(message.cost, `${pointer}/cost`, 1, 1_000_000_000),
    sharedBy: oneWord(message.sharedBy, `${pointer}/sharedBy`, sharings),
    onStoreFailure: oneWord(message.onStoreFailure, `${pointer}/onStoreFailure`, storeFailures),
    match: readEntryMatch(message.match, `${pointer}/match`),
    maxKeys: wholeNumber(message.maxKeys, `${pointer}/maxKeys`, 8, 1_048_576),
  };
  if (algorithm === 'leakyBucket' && settings.burst * (settings.perMs / settings.requests) > 60_000) {
    throw new WireError(`${pointer}/burst`, 'out-of-range', 'the queue would take more than a minute to drain');
  }
  return Object.freeze(settings);
}
