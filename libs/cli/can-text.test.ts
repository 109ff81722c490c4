import { expect, test } from 'vitest';
import type { CanAnswer } from './api-shapes.ts';
import { canText } from './can-text.ts';

const as = (text: string): string => text;
const plain = { good: as, bad: as, warn: as, strong: as, faint: as, name: as };

const answer: CanAnswer = {
  allowed: true, decision: null, allowedBy: [], identity: null, steps: [], current: true, listener: 'plain', route: 'orders-api', sidecar: 'edge-1', subject: 'gateway/edge', revision: 3, notes: [], notAsked: [], path: '/orders',
  limits: [
    { pointer: '/limits/perIp', shadow: false, policies: ['orders-api'] },
    { pointer: '/plans/gold/limits/perMinute', shadow: false, policies: ['orders-api'] },
    { pointer: '/plans/gold/quotas/daily', shadow: false, policies: [] },
  ],
};

test('limits have the names that responses have: those of a Plan with the Plan before them', () => {
  expect(canText(answer, plain)).toContain('limits      perIp (orders-api), gold/perMinute (orders-api), gold/daily\n');
});
