import { boundedList, boundedText, decodeMessage, oneWord, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { LoadBalancing, type Sticky } from './gen/load-balancing.ts';
import { preferences, type Preference } from './host-levels.ts';
import type { SlowStart } from './slow-start.ts';

export const algorithms = ['peakEwma', 'leastRequest', 'roundRobin', 'weighted', 'random', 'ringHash', 'maglev'] as const;
export type Algorithm = (typeof algorithms)[number];

export const secureWords = ['auto', 'always', 'never'] as const;
export const sameSiteWords = ['Lax', 'Strict', 'None'] as const;

/** A cookie that brings a client back to the host that it was with. */
export interface StickySettings {
  readonly cookie: string;
  /** 0: for the browser's session. */
  readonly ttlSeconds: number;
  readonly path: string;
  /** `auto`: where the client used https. */
  readonly secure: (typeof secureWords)[number];
  readonly sameSite: (typeof sameSiteWords)[number];
}

export interface LoadBalancingSettings {
  readonly algorithm: Algorithm;
  readonly choices: number;
  /** `clientAddress`, `header.NAME`, `cookie.NAME`, `query.NAME`. */
  readonly hashBy: readonly string[];
  /** On the ring, of a host of weight 1. */
  readonly places: number;
  /** Of the mean; 0: no bound. */
  readonly boundedLoad: number;
  readonly sticky: StickySettings | null;
  readonly slowStart: SlowStart;
  readonly prefer: Preference;
  readonly overprovisioning: number;
  readonly panicThreshold: number;
}

export const ringPlaces = { min: 16, max: 8192 } as const;
export const hashPartsMax = 8;
export const hashPartPattern = /^(?:clientAddress|(?:header|cookie|query)\.[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})$/;
export const cookieNamePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;
export const cookiePathPattern = /^\/[\x21-\x3a\x3c-\x7e]{0,255}$/;

/** What holds where no policy says otherwise. */
export const usualLoadBalancing: LoadBalancingSettings = Object.freeze({
  algorithm: 'peakEwma', choices: 2, hashBy: Object.freeze([]), places: 512, boundedLoad: 0, sticky: null,
  slowStart: Object.freeze({ windowMs: 0, aggression: 1, minWeight: 0.1 }), prefer: 'none', overprovisioning: 1.4, panicThreshold: 0.5,
});

export const loadBalancingWire = { name: 'loadBalancing', format: 1, decode: decodeLoadBalancing } as const;

function decodeLoadBalancing(bytes: Uint8Array): LoadBalancingSettings {
  const message = decodeMessage(LoadBalancing, bytes);
  const algorithm = oneWord(message.algorithm, '/algorithm', algorithms);
  const hashBy = Object.freeze(boundedList(message.hashBy, '/hash/by', hashPartsMax).map((part, i) => boundedText(part, `/hash/by/${i}`, 160, hashPartPattern)));
  if (usesHash(algorithm) && hashBy.length === 0) throw new WireError('/hash/by', 'missing-field', 'there is nothing to make keys of');
  const boundedLoad = realNumber(message.boundedLoad, '/hash/boundedLoad', 0, 10);
  if (boundedLoad > 0 && boundedLoad < 1.05) throw new WireError('/hash/boundedLoad', 'out-of-range', 'the bound is below 105%');
  return Object.freeze({
    algorithm, hashBy, boundedLoad,
    choices: wholeNumber(message.choices, '/choices', 2, 16),
    places: wholeNumber(message.places, '/hash/places', ringPlaces.min, ringPlaces.max),
    sticky: message.sticky === undefined ? null : decodeSticky(message.sticky),
    slowStart: Object.freeze({
      windowMs: wholeNumber(message.slowStartMs, '/slowStart/window', 0, 3_600_000),
      aggression: realNumber(message.slowStartAggression, '/slowStart/aggression', 0.1, 10),
      minWeight: realNumber(message.slowStartMinWeight, '/slowStart/minWeight', 0.01, 1),
    }),
    prefer: oneWord(message.prefer, '/locality/prefer', preferences),
    overprovisioning: realNumber(message.overprovisioning, '/locality/overprovisioning', 1, 10),
    panicThreshold: realNumber(message.panicThreshold, '/panicThreshold', 0, 1),
  });
}

function decodeSticky({ cookie, ttlSeconds, path, secure, sameSite }: Sticky): StickySettings {
  return Object.freeze({
    cookie: boundedText(cookie, '/sticky/cookie', 64, cookieNamePattern),
    ttlSeconds: wholeNumber(ttlSeconds, '/sticky/ttl', 0, 31_536_000),
    path: boundedText(path, '/sticky/path', 256, cookiePathPattern),
    secure: oneWord(secure, '/sticky/secure', secureWords),
    sameSite: oneWord(sameSite, '/sticky/sameSite', sameSiteWords),
  });
}

/** A key decides, not how busy hosts are. */
export function usesHash(algorithm: string): boolean {
  return algorithm === 'ringHash' || algorithm === 'maglev';
}
