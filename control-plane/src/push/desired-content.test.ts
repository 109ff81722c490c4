import type { Version } from '@remora/core/version';
import { expect, test } from 'vitest';
import type { LogEntry } from '../store/store.ts';
import { DesiredContent, type ContentHistory } from './desired-content.ts';
import { compileSamples } from './testdata/sample-content.ts';

const at = (index: number): Version => ({ epoch: 1, index });
const entry = (index: number, guards: readonly string[]): LogEntry => ({
  version: at(index), at: '', author: '', message: '', kind: 'documents', changes: [], grants: guards.map((guard) => ({ guard, subjects: ['service/web'] })),
});

function historyOf(entries: readonly LogEntry[]): ContentHistory {
  return { blob: () => null, references: () => null, entries: () => entries, manifestAt: () => null };
}

/**
 * Symptom: a sidecar refused a forced revision by its guard, for ever, where the control plane had been started again before it got it. Cause: a start publishes the
 * head of the log without grants, and these replaced those that had been read from the log under that version. They are read once, and nothing published takes them away.
 */
test('what the newest entry of the log grants is granted after a start as well', () => {
  const content = new DesiredContent(historyOf([entry(7, ['removes-authentication']), entry(5, ['empties-routes'])]));
  content.take({ version: at(7), compilation: compileSamples({ 'service/web': { resources: ['a'] } }), changed: new Set(['service/web']), grants: [], committedAtMs: 0 }, 0, new Set());
  expect(content.grantedGuards('service/web', at(4), at(7))).toEqual(['empties-routes', 'removes-authentication']);
  expect(content.grantedGuards('service/web', at(6), at(7))).toEqual(['removes-authentication']);
  expect(content.grantedGuards('service/web', at(7), at(7))).toEqual([]);
  expect(content.grantedGuards('service/orders', at(4), at(7))).toEqual([]);
});
