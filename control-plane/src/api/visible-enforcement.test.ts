import { expect, test } from 'vitest';
import type { EnforcementOf } from '../push/push-hub.ts';
import { visibleEnforcement } from './visible-enforcement.ts';

const one = (nodeId: string, subject: EnforcementOf['subject'], outcome: EnforcementOf['outcome']): EnforcementOf => ({ nodeId, subject, outcome, elapsedMs: 0, refusal: null });
const ofOrders = { seesAll: false, sees: (subject: string): boolean => subject === 'service/orders' };

test('a scope sees its own sidecars, counted by the same names as for everybody', () => {
  const sidecars = [one('web-1', 'service/web', 'pending'), one('orders-1', 'service/orders', 'offline'), one('orders-2', 'service/orders', 'applied')];
  expect(visibleEnforcement(ofOrders, { counts: { total: 3, applied: 1, pending: 1, refused: 0, offline: 1 }, sidecars })).toEqual({ counts: { total: 2, applied: 1, pending: 0, refused: 0, offline: 1 }, sidecars: sidecars.slice(1) });
  expect(visibleEnforcement(ofOrders, { counts: { total: 3, applied: 1, pending: 1, refused: 0, offline: 1, superseded: 0 }, sidecars }).counts).toEqual({ total: 2, applied: 1, pending: 0, refused: 0, offline: 1, superseded: 0 });
});
