import { noSettings } from '@remora/snapshot/effective-settings';
import type { RouteDefinition } from '@remora/snapshot/route-definition';
import { anyMatch } from '@remora/router/match';
import { describe, expect, test } from 'vitest';
import type { ProviderAction } from './places.ts';
import { PlaceMaker, RouteOnDemand } from './provider-route.ts';

function definition(action: RouteDefinition['action']): RouteDefinition {
  return {
    hash: '', id: 'gateway/edge/here', name: 'here', owner: 'edge', scope: 'gateway', ports: [], priority: 0, match: anyMatch, action,
    rewrite: null, settings: noSettings, callerOverrides: [],
  };
}

const maker = new PlaceMaker('gateway', 'edge', noSettings, { list: [], slotCount: 3 });

describe('a Route on demand', () => {
  test('has one place, named after it, with the filters that all share', () => {
    const [one, other] = [new RouteOnDemand(definition({ kind: 'forward', targets: [], stickyHeader: '' }), maker, null), new RouteOnDemand(definition({ kind: 'forward', targets: [], stickyHeader: '' }), maker, null)];
    expect(one.place).toMatchObject({ side: 'gateway', owner: 'edge', route: 'here', slotCount: 3, series: null, liveKeys: [] });
    expect(one.place).toBe(one.place);
    expect(other.place).not.toBe(one.place);
    expect(other.place.filters).toBe(one.place.filters);
  });

  test('answers what it says, or goes where its port says', () => {
    const answering = new RouteOnDemand(definition({ kind: 'respond', status: 204, headers: [], body: new Uint8Array(0), contentType: '', delayMs: 7 }), maker, null);
    expect(answering.action).toMatchObject({ kind: 'respond', delayMs: 7 });
    expect(answering.action).toBe(answering.action);
    const onward: ProviderAction = { kind: 'forward', rewrite: null, targets: [], sticky: null };
    expect(new RouteOnDemand(definition({ kind: 'forward', targets: [], stickyHeader: '' }), maker, onward).action).toBe(onward);
  });
});
