import { NackClass } from '@remora/proto/gen/remora/push/v1/push';
import { describe, expect, test } from 'vitest';
import { HubFixture } from './testdata/hub-fixture.ts';

const web = { kind: 'service', name: 'web' } as const;

function fleet(count: number, options: ConstructorParameters<typeof HubFixture>[0] = {}) {
  const fixture = new HubFixture(options);
  fixture.publish({ 'service/web': { resources: ['a'] } });
  const sidecars = Array.from({ length: count }, (_, n) => fixture.connect({ nodeId: `web-${n}`, subject: web }));
  return { fixture, sidecars };
}

const refuses = (): { nack: NackClass; errors: { pointer: string }[] } => ({ nack: NackClass.NACK_CLASS_INVALID, errors: [{ pointer: '/routes/0' }] });

/** Enough for everything that is written behind. */
const writtenAfterMs = 30_000;

describe('enforcement after a restart of the control plane', () => {
  test('knows counts, and who refused and why', () => {
    const { fixture, sidecars } = fleet(3);
    const [, , third] = sidecars;
    if (third) third.answer = refuses;
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.live(writtenAfterMs, ...sidecars);
    fixture.restart();
    expect(fixture.hub.enforcement(index)).toMatchObject({
      done: true, complete: false, counts: { total: 3, applied: 2, pending: 0, refused: 1 },
      sidecars: [{ nodeId: 'web-2', outcome: 'refused', refusal: { class: 'invalid', errors: [{ pointer: '/routes/0' }] } }],
    });
  });

  test('calls offline who was pending, until it comes back and is in sync', () => {
    const { fixture, sidecars } = fleet(2);
    const [, second] = sidecars;
    if (!second) throw new Error('no sidecar');
    second.answer = () => 'silent';
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.live(writtenAfterMs, ...sidecars);
    fixture.restart();
    fixture.index = index - 1;
    fixture.publish({ 'service/web': { resources: ['b'] } });
    expect(fixture.hub.enforcement(index)).toMatchObject({ done: true, counts: { applied: 1, offline: 1 }, sidecars: [{ nodeId: 'web-1', outcome: 'offline' }] });
    second.answer = () => 'ack';
    fixture.connect(second);
    expect(second.enforced()).toEqual(['b']);
    expect(fixture.hub.enforcement(index)).toMatchObject({ counts: { total: 2, applied: 2, offline: 0 } });
  });

  test('calls refused who comes back and refuses it', () => {
    const { fixture, sidecars } = fleet(1);
    const [only] = sidecars;
    if (!only) throw new Error('no sidecar');
    fixture.link(only).pause();
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.live(6_000, only);
    fixture.disconnect(only);
    fixture.live(writtenAfterMs);
    fixture.restart();
    only.answer = refuses;
    fixture.index = index - 1;
    fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.connect(only);
    expect(fixture.hub.enforcement(index)).toMatchObject({ counts: { total: 1, offline: 0, refused: 1 } });
  });

  test('forgets entries beyond the bound on the disk too', () => {
    const { fixture, sidecars } = fleet(1, { limits: { enforcementsMax: 3 } });
    const first = fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.live(writtenAfterMs, ...sidecars);
    for (const name of ['c', 'd', 'e']) fixture.publish({ 'service/web': { resources: [name] } });
    fixture.live(writtenAfterMs, ...sidecars);
    fixture.restart();
    expect(fixture.hub.enforcement(first)).toBeNull();
    expect([...fixture.store.records('enforcement').keys()].sort()).toEqual([first + 1, first + 2, first + 3].map(String));
    expect(fixture.hub.enforcement(first + 1)).toMatchObject({ counts: { total: 1, applied: 1 }, complete: false, sidecars: [] });
  });

  test('ignores records of another shape', () => {
    const { fixture } = fleet(1);
    fixture.store.putRecords('enforcement', new Map([['7', { version: { epoch: 1, index: 7 }, others: 'many' }], ['8', { version: { epoch: 1, index: 8 }, committedWallMs: 0, elapsedMs: 1, counts: { total: -1 }, others: [] }]]));
    fixture.restart();
    expect(fixture.hub.enforcement(7)).toBeNull();
    expect(fixture.hub.enforcement(8)).toBeNull();
  });
});

describe('enforcement of large fleets', () => {
  test('of older entries those that applied them are counted, not listed; the others are', () => {
    const { fixture, sidecars } = fleet(4, { limits: { enforcementMembersMax: 6 } });
    const [first] = sidecars;
    if (first) first.answer = refuses;
    const older = fixture.publish({ 'service/web': { resources: ['b'] } });
    if (first) first.answer = () => 'ack';
    const newer = fixture.publish({ 'service/web': { resources: ['c'] } });
    expect(fixture.hub.enforcement(older)).toMatchObject({ complete: false, counts: { total: 4, applied: 3, refused: 1 }, sidecars: [{ nodeId: 'web-0', outcome: 'refused' }] });
    expect(fixture.hub.enforcement(newer)).toMatchObject({ complete: true, counts: { total: 4, applied: 4 } });
    expect(fixture.hub.enforcement(newer)?.sidecars).toHaveLength(4);
  });

  test('lists what needs somebody first', () => {
    const { fixture, sidecars } = fleet(4);
    const [a, , c] = sidecars;
    if (!a || !c) throw new Error('no sidecar');
    c.answer = refuses;
    a.answer = () => 'silent';
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    expect(fixture.hub.enforcement(index)?.sidecars.map(({ nodeId, outcome }) => `${nodeId} ${outcome}`)).toEqual(['web-2 refused', 'web-0 pending', 'web-1 applied', 'web-3 applied']);
  });
});
