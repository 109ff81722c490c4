import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { systemClock } from '@remora/core/clock';
import type { Violation } from '@remora/core/violation';
import { startApi } from '@remora/control-plane/api/testdata/api-fixture';
import { createMemoryStore } from '@remora/control-plane/store/memory-store';
import { askedSources } from '@remora/model/discovery-schema';
import { describe, expect, test } from 'vitest';
import { loadInput } from './document-input.ts';
import { checkOffline } from './offline-check.ts';

const root = path.resolve(import.meta.dirname, '../..');
const files = globSync(['libs/model/testdata/{valid,invalid}/*.{yaml,json}', 'control-plane/src/compile/testdata/{valid,invalid}/*.yaml', 'libs/cli/testdata/{documents,validate}/*.yaml', 'deploy/**/*.yaml'], { cwd: root })
  .filter((file) => !file.includes('.golden.') && !/kubernetes|compose/.test(file)).sort();

const facts = (violations: readonly Violation[]): string[] => violations.map(({ document, pointer, code, message }) => `${document ?? ''} ${pointer} ${code}: ${message}`).sort();

/** What a document may ask a control plane to be set up for is there, and never finds anybody. */
const silentSources = new Map(askedSources.map((kind) => [kind, { kind, follow: () => ({ close() {} }), close() {} }]));

/** What a control plane without documents says of them. */
async function serverSays(bytes: Uint8Array): Promise<readonly Violation[]> {
  const api = await startApi({ store: createMemoryStore({ clock: systemClock }), discoverySources: silentSources });
  try {
    const { body } = await api.call('POST', '/v1/validate', { body: bytes });
    expect(api.alarms).toEqual([]);
    return (body.violations ?? []) as readonly Violation[];
  } finally {
    await api.close();
  }
}

describe('validate says offline what the control plane says', () => {
  test('the check sees them', () => {
    expect(files.length).toBeGreaterThan(30);
  });

  test.each(files)('%s', async (file) => {
    const bytes = readFileSync(path.join(root, file));
    // The same name for both: it is in messages.
    const offline = checkOffline(loadInput([{ name: 'request', bytes }]));
    const online = await serverSays(bytes);
    expect(facts(offline)).toEqual(facts(online));
  });
});
