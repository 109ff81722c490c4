import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FoundInstance } from './found-instance.ts';
import { defaultHoldLimits, SourceHold } from './source-hold.ts';

const s = 1_000;

function instance(id: string, more: Partial<FoundInstance> = {}): FoundInstance {
  return { id, ports: [{ name: 'http', host: '10.0.0.1', port: 80 }], labels: {}, locality: '', weight: 1, backup: false, draining: false, ...more };
}

/** `a b !c`: c is leaving. */
function answer(text: string): FoundInstance[] {
  return text.split(' ').filter((word) => word !== '').map((word) => instance(word.replace('!', ''), { draining: word.startsWith('!') }));
}

/** `a b? !c`: b is suspect. */
function shown(hold: SourceHold): string {
  return hold.instances.map(({ instance: { id, draining }, suspectUntilMs }) => `${draining ? '!' : ''}${id}${suspectUntilMs === null ? '' : '?'}`).join(' ');
}

describe('what a source says is held', () => {
  /** Seconds, what the source says (null: nothing, time passes), what callers see. */
  test.each<[string, [number, string | null, string][]]>([
    ['new instances are believed at once', [[0, 'a', 'a'], [1, 'a b c', 'a b c']]],
    ['a few that vanish are gone at once', [[0, 'a b c d', 'a b c d'], [1, 'a b c', 'a b c'], [2, 'a b', 'a b']]],
    ['half may go, and no more within 30 s', [[0, 'a b c d', 'a b c d'], [1, 'a b', 'a b'], [2, 'a', 'a b?'], [31, 'a', 'a b?']]],
    ['a source that empties: all stay, suspect, for 10 min', [[0, 'a b c', 'a b c'], [5, '', 'a? b? c?'], [604, null, 'a? b? c?'], [605, null, '']]],
    ['… and are believed again when they come back', [[0, 'a b c', 'a b c'], [5, '', 'a? b? c?'], [9, 'a b c', 'a b c']]],
    ['… those of them that do', [[0, 'a b c', 'a b c'], [5, '', 'a? b? c?'], [9, 'b', 'a? b c?'], [605, null, 'b']]],
    ['the only instance vanishes', [[0, 'a', 'a'], [5, '', 'a?']]],
    ['a source that lies: all others', [[0, 'a b c', 'a b c'], [5, 'x y z', 'a? b? c? x y z'], [605, null, 'x y z']]],
    ['emptying again does not make suspects stay longer', [[0, 'a b', 'a b'], [5, '', 'a? b?'], [300, '', 'a? b?'], [605, '', '']]],
    ['what was leaving has left', [[0, 'a b', 'a b'], [1, '!a b', '!a b'], [2, 'b', 'b'], [3, '!b', '!b'], [4, '', '']]],
    ['a rolling restart, as Kubernetes shows it', [[0, 'a b', 'a b'], [1, 'a b c', 'a b c'], [2, '!a b c', '!a b c'], [3, 'b c', 'b c'], [4, '!b c d', '!b c d'], [5, 'c d', 'c d']]],
    ['one that flaps is kept as suspect for a minute from its fourth time on', [
      [0, 'a b c d', 'a b c d'], [40, 'a b c', 'a b c'], [41, 'a b c d', 'a b c d'], [80, 'a b c', 'a b c'], [81, 'a b c d', 'a b c d'], [120, 'a b c', 'a b c'], [121, 'a b c d', 'a b c d'],
      [160, 'a b c', 'a b c d?'], [219, null, 'a b c d?'], [220, null, 'a b c'],
    ]],
    ['… and is forgiven after five minutes', [
      [0, 'a b c d', 'a b c d'], [40, 'a b c', 'a b c'], [41, 'a b c d', 'a b c d'], [80, 'a b c', 'a b c'], [81, 'a b c d', 'a b c d'], [120, 'a b c', 'a b c'], [121, 'a b c d', 'a b c d'],
      [430, 'a b c', 'a b c'],
    ]],
  ])('%s', (_title, steps) => {
    const hold = new SourceHold();
    for (const [at, says, sees] of steps) {
      if (says === null) hold.sweep(at * s);
      else hold.answer(answer(says), at * s);
      expect(shown(hold), `at ${at} s`).toBe(sees);
    }
  });

  test('what an earlier process knew is held against a first answer that is half empty', () => {
    const hold = new SourceHold();
    hold.restore({ instances: answer('a b c'), suspects: new Set(), gone: 0 }, { sinceMs: 0, nowMs: 0 });
    expect(hold.answer(answer('a'), 1)).toBe(true);
    expect(shown(hold)).toBe('a b? c?');
    expect(hold.suspects).toBe(2);
  });

  test('a source that loses instances while processes die does not get around the guard', () => {
    const first = new SourceHold();
    first.answer(answer('a b c d e'), 0);
    first.answer(answer('b c d e'), 1 * s);
    first.answer(answer('c d'), 2 * s);
    expect([shown(first), first.goneLately]).toEqual(['b? c d e?', 1]);
    const second = new SourceHold();
    second.restore({ instances: answer('b c d e'), suspects: new Set(['b', 'e']), gone: first.goneLately }, { sinceMs: 0, nowMs: 3 * s });
    second.answer(answer('d'), 4 * s);
    expect(shown(second)).toBe('b? c? d e?');
    second.sweep(602 * s);
    expect(shown(second)).toBe('b? c? d e?');
    second.sweep(605 * s);
    expect(shown(second)).toBe('d');
  });

  test('only what callers would see counts as a change', () => {
    const hold = new SourceHold();
    expect(hold.answer(answer('a b'), 0)).toBe(true);
    expect(hold.answer(answer('a b'), 1)).toBe(false);
    expect(hold.answer([instance('a', { weight: 2 }), instance('b')], 2)).toBe(true);
    expect(hold.sweep(3)).toBe(false);
    expect(hold.instances[0]).toMatchObject({ sinceMs: 0, namedMs: 2 });
  });

  test('whatever a source says: what it names is there and trusted, and at most half of the rest is given up within the window', () => {
    const seed = Date.now() & 0xffff;
    const letters = ['a', 'b', 'c', 'd', 'e', 'f'];
    const step = fc.record({ after: fc.integer({ min: 1, max: 20_000 }), ids: fc.subarray(letters) });
    fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const hold = new SourceHold();
      let now = 0;
      let given: { at: number }[] = [];
      for (const { after, ids } of steps) {
        now += after;
        const before = hold.instances.filter(({ suspectUntilMs }) => suspectUntilMs === null).map(({ instance: { id } }) => id);
        hold.answer(ids.map((id) => instance(id)), now);
        const seen = new Map(hold.instances.map(({ instance: { id }, suspectUntilMs }) => [id, suspectUntilMs]));
        for (const id of ids) expect(seen.get(id)).toBeNull();
        given = given.filter(({ at }) => now - at < defaultHoldLimits.windowMs);
        const lost = before.filter((id) => !seen.has(id));
        if (lost.length > 0) expect(lost.length + given.length).toBeLessThanOrEqual((before.length + given.length) / 2);
        for (const _ of lost) given.push({ at: now });
        expect([...seen.keys()]).toEqual([...seen.keys()].sort());
      }
    }), { seed });
  });
});
