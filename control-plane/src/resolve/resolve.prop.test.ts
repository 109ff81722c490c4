import { canonicalJson } from '@remora/core/canonical-json';
import type { Subject, SubjectKey } from '@remora/core/subject';
import { createModel } from '@remora/model/model';
import { sampleKinds, sampleWireKinds } from '@remora/testing/sample-kinds';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IncrementalPlanner } from '../compile/incremental-planner.ts';
import type { Planner, PlanResult } from '../compile/planner.ts';
import type { Place } from './effective.ts';
import { allPlaces, layersAt, merge, naiveKinds, problemsAt, realPlaces } from './testdata/naive-model.ts';
import type { NaivePlace, World } from './testdata/naive-model.ts';
import { places, policies, stored, worldDocuments } from './testdata/worlds.ts';

const model = createModel({ kinds: sampleKinds, checkRegex: () => null });

/** A planner that has seen nothing yet. */
function newPlanner(): Planner {
  return new IncrementalPlanner({ model, kinds: sampleKinds, wireKinds: sampleWireKinds });
}

function plan(world: World): PlanResult {
  return newPlanner().plan(null, stored(worldDocuments(world)), stored(worldDocuments(world)).keys());
}

function subject(key: string): Subject {
  return { kind: key.startsWith('service/') ? 'service' : 'gateway', name: key.slice(key.indexOf('/') + 1) };
}

function toPlace({ service, gateway, route, caller, callerRoute }: NaivePlace): Place {
  return {
    owner: service === undefined ? { kind: 'gateway', name: gateway ?? '' } : { kind: 'service', name: service },
    ...(route === '' ? {} : { route }),
    ...(caller === '' ? {} : { caller: { ...subject(caller), ...(callerRoute === '' ? {} : { route: callerRoute }) } }),
  };
}

function hashes(result: PlanResult): Record<SubjectKey, string> | null {
  return result.ok ? Object.fromEntries([...result.planned.compilation.subjects].map(([key, { hash }]) => [key, hash] as const).sort(([a], [b]) => (a < b ? -1 : 1))) as Record<SubjectKey, string> : null;
}

describe('against the naive model', () => {
  test('a state is refused exactly where the naive model finds a conflict, a gap or a broken bound', () => {
    let accepted = 0;
    fc.assert(fc.property(policies({ max: 5, bounds: 1 }), (list) => {
      const world = { ...places, policies: list };
      const result = plan(world);
      if (result.ok) {
        accepted++;
        expect(realPlaces(world).flatMap((place) => problemsAt(world, place))).toEqual([]);
      } else {
        expect(allPlaces(world).flatMap((place) => problemsAt(world, place)), JSON.stringify(result.violations)).not.toEqual([]);
      }
    }), { numRuns: 200 });
    expect(accepted).toBeGreaterThan(30);
  });

  test('every effective value is the naive one, at every place', () => {
    fc.assert(fc.property(policies({ max: 4, bounds: 0 }), (list) => {
      const world = { ...places, policies: list };
      const result = plan(world);
      fc.pre(result.ok);
      for (const place of realPlaces(world)) {
        const layers = layersAt(world, place);
        const expected = naiveKinds[place.side].map((kind) => ({ kind, ...merge(kind, layers) })).filter(({ on }) => on).map(({ kind, shadow, value }) => ({ kind, shadow, value: canonicalJson(value) }));
        const effective = result.planned.resolver.effective(toPlace(place)).filter(({ kind }) => (naiveKinds[place.side] as readonly string[]).includes(kind));
        const actual = effective.map(({ kind, shadow, value }) => ({ kind, shadow, value: canonicalJson(value) }));
        expect(actual.sort((a, b) => (a.kind < b.kind ? -1 : 1)), JSON.stringify(place)).toEqual(expected);
      }
    }), { numRuns: 150 });
  });
});

describe('laws', () => {
  test('the order of documents means nothing: byte-equal compilations, equal violations', () => {
    fc.assert(fc.property(policies({ max: 4, bounds: 1 }), fc.infiniteStream(fc.nat()), (list, random) => {
      const documents = worldDocuments({ ...places, policies: list });
      const shuffled = documents.map((document) => ({ document, at: random.next().value as number })).sort((a, b) => a.at - b.at).map(({ document }) => document);
      const [one, other] = [newPlanner().plan(null, stored(documents), stored(documents).keys()), newPlanner().plan(null, stored(shuffled), stored(shuffled).keys())];
      expect(hashes(other)).toEqual(hashes(one));
      if (!one.ok && !other.ok) expect(other.violations).toEqual(one.violations);
    }), { numRuns: 100 });
  });

  test('what is planned step by step is what is planned at once', () => {
    fc.assert(fc.property(fc.array(policies({ max: 3, bounds: 1 }), { minLength: 2, maxLength: 5 }), (steps) => {
      const planner = newPlanner();
      let documents = stored(worldDocuments({ ...places, policies: [] }));
      const start = planner.plan(null, documents, []);
      if (!start.ok) throw new Error('the empty world is refused');
      let planned = start.planned;
      for (const list of steps) {
        const next = stored(worldDocuments({ ...places, policies: list }));
        const changes = [...new Set([...documents.keys(), ...next.keys()])].filter((key) => canonicalJson(documents.get(key)?.document ?? null) !== canonicalJson(next.get(key)?.document ?? null));
        const result = planner.plan(planned, next, changes);
        const cold = newPlanner().plan(null, next, next.keys());
        expect(result.ok, JSON.stringify(result.ok ? cold : result)).toBe(cold.ok);
        if (!result.ok) continue;
        expect(hashes(result)).toEqual(hashes(cold));
        const differing = [...result.planned.compilation.subjects].filter(([key, { hash }]) => planned.compilation.subjects.get(key)?.hash !== hash).map(([key]) => key);
        expect([...result.planned.changed].sort()).toEqual(differing.sort());
        planned = result.planned;
        documents = next;
      }
    }), { numRuns: 60 });
  });

  test('removing a policy restores what was before it', () => {
    fc.assert(fc.property(policies({ max: 4, bounds: 0 }), (list) => {
      const planner = newPlanner();
      const before = stored(worldDocuments({ ...places, policies: list.slice(0, -1) }));
      const first = planner.plan(null, before, []);
      fc.pre(first.ok);
      const added = planner.plan(first.planned, stored(worldDocuments({ ...places, policies: list })), [`Policy/p${list.length - 1}`]);
      fc.pre(added.ok);
      const removed = planner.plan(added.planned, before, [`Policy/p${list.length - 1}`]);
      expect(hashes(removed)).toEqual(hashes(first));
      expect(removed.ok && removed.planned.changed).toEqual(added.planned.changed);
    }), { numRuns: 60 });
  });
});
