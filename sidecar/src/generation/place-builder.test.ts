import { ManualClock } from '@remora/testing/manual-clock';
import { seededRandom } from '@remora/core/random';
import type { Dispatch, EdgeFilter } from '@remora/policy-kit/exchange';
import { HopNotes } from '@remora/policy-kit/hop-notes';
import { FactBooks } from '@remora/policy-kit/facts';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { noSettings, type EffectiveSettings } from '@remora/snapshot/effective-settings';
import { expect, test } from 'vitest';
import { LiveStates } from './live-state.ts';
import { PlaceBuilder } from './place-builder.ts';

const connector: Dispatch = () => {
  throw new Error('nothing is called');
};

/** Names of the filters of a place whose sections are these kinds, in the order of kinds. */
function filtersOf(kinds: readonly string[], late: readonly string[]): string[] {
  const books = new FactBooks();
  const builder = new PlaceBuilder({
    live: new LiveStates(), connector, recordShadow: () => {},
    host: { clock: new ManualClock(), timers: { after: () => {} }, random: seededRandom(1), count: () => {}, counter: () => () => {}, event: () => {}, log: () => {}, facts: (kind) => books.of(kind), questions: { ask: () => false }, detours: { to: () => connector, beside: (x) => x }, hops: new HopNotes(), later: () => {} },
  });
  const sections = kinds.map((kind) => {
    const filter: EdgeFilter = late.includes(kind) ? { kind, late: { kind: `${kind}, late` } } : { kind };
    const runtime: RuntimeKind<unknown> = { name: kind, format: 1, side: 'provider', reasons: [], decode: () => null, edge: () => filter };
    return { kind, runtime, settings: null, shadow: false, origins: [] };
  });
  const settings: EffectiveSettings = { ...noSettings, hash: kinds.join(), sections };
  builder.begin(new Set());
  return builder.provider('gateway', 'edge', '', settings).filters.map(({ kind }) => kind);
}

test('what a kind does late runs after authorization, whatever is there of the kinds around it', () => {
  expect(filtersOf(['ipAccess', 'rateLimit', 'apiKey', 'authentication', 'authorization', 'transform'], ['rateLimit'])).toEqual(['ipAccess', 'rateLimit', 'apiKey', 'authentication', 'authorization', 'rateLimit, late', 'transform']);
  expect(filtersOf(['rateLimit', 'apiKey', 'transform', 'securityHeaders'], ['rateLimit'])).toEqual(['rateLimit', 'apiKey', 'rateLimit, late', 'transform', 'securityHeaders']);
  expect(filtersOf(['rateLimit', 'authentication'], ['rateLimit'])).toEqual(['rateLimit', 'authentication', 'rateLimit, late']);
  expect(filtersOf(['rateLimit', 'transform'], [])).toEqual(['rateLimit', 'transform']);
});
