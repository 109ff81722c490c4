import { expect, it } from 'vitest';
import { LiveStates } from './live-state.ts';

interface Bucket {
  tokens: number;
}

const make = (): Bucket => ({ tokens: 0 });

it('keeps state over generations while its owner stays, and starts anew with another shape', () => {
  const states = new LiveStates();
  const first = new Set<string>();
  const bucket = states.collector(first).keep('gateway/edge/r', '100 per 1m', make);
  states.retain(first);
  bucket.tokens = 7;
  const second = new Set<string>();
  expect(states.collector(second).keep('gateway/edge/r', '100 per 1m', make).tokens).toBe(7);
  states.retain(second);
  states.release(first);
  const third = new Set<string>();
  const changed = states.collector(third).keep('gateway/edge/r', '200 per 1m', make);
  expect(changed.tokens).toBe(0);
  // What still runs on the old generation keeps its own.
  expect(states.collector(new Set()).keep('gateway/edge/r', '100 per 1m', make).tokens).toBe(7);
  states.retain(third);
  states.release(second);
  states.sweep();
  expect(states.size).toBe(1);
});

it('forgets what a candidate made that was refused', () => {
  const states = new LiveStates();
  states.collector(new Set()).keep('k', 's', make);
  states.sweep();
  expect(states.size).toBe(0);
});

it('tells state that holds what belongs to others when nothing uses it any more, and when the sidecar has drained', () => {
  const lapsed: string[] = [];
  const make = (name: string) => (): { lapse(): void } => ({ lapse: () => void lapsed.push(name) });
  const states = new LiveStates();
  const [first, second] = [new Set<string>(), new Set<string>()];
  states.collector(first).keep('kept', '', make('kept'));
  states.collector(first).keep('left', '', make('left'));
  states.retain(first);
  states.collector(second).keep('kept', '', make('another'));
  states.collector(new Set()).keep('refused', '', make('refused'));
  states.retain(second);
  states.release(first);
  expect(lapsed).toEqual(['left']);
  states.sweep();
  expect(lapsed).toEqual(['left', 'refused']);
  states.lapse();
  states.release(second);
  expect(lapsed).toEqual(['left', 'refused', 'kept']);
});
