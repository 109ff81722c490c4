import { systemClock, systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { loadDocuments } from '@remora/model/load-documents';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createControlPlane } from '../app.ts';
import type { ControlPlane } from '../app.ts';
import { createProcessLog } from '../process-log.ts';
import type { PublishedUpdate } from '../push/push-hub.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { StoreError } from '../store/store-error.ts';
import type { Store } from '../store/store.ts';
import type { WriteOutcome, WriteRequest } from './write-path.ts';

async function start(store: Store = createMemoryStore({ clock: systemClock })): Promise<ControlPlane & { readonly published: PublishedUpdate[] }> {
  const controlPlane = createControlPlane({
    store, clock: systemClock, timers: systemTimers, random: seededRandom(1), soon: setImmediate,
    log: createProcessLog({ level: 'error', clock: systemClock, write: () => {} }), retention: { minAgeMs: 1, minEntries: 1 },
  });
  const published: PublishedUpdate[] = [];
  const { hub } = controlPlane;
  const publish = hub.publish.bind(hub);
  hub.publish = (update) => {
    published.push(update);
    publish(update);
  };
  await controlPlane.start();
  onTestFinished(() => controlPlane.stop());
  return { ...controlPlane, published };
}

function apply(controlPlane: ControlPlane, yaml: string, more: Partial<WriteRequest> = {}): Promise<WriteOutcome> {
  const { documents } = controlPlane.model.validateDocuments(loadDocuments([{ name: 'test', bytes: yaml }]).documents);
  return controlPlane.writePath.write({ intent: { kind: 'apply', documents }, author: 'ana', message: '', ...more });
}

const service = (name: string): string => `kind: Service\nname: ${name}\nports: {http: {port: 8080, protocol: http}}\n`;

describe('the write path', () => {
  test('writers at once: every write is one revision, in order, published in the order of the log', async () => {
    const controlPlane = await start();
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => apply(controlPlane, service(`s${n}`))));
    expect(outcomes.map(({ entry }) => entry?.version.index)).toEqual(Array.from({ length: 50 }, (_, n) => n + 1));
    expect(controlPlane.published.map(({ version }) => version.index)).toEqual(Array.from({ length: 51 }, (_, n) => n));
    expect(controlPlane.store.documents().size).toBe(50);
  });

  test('a queue that is full refuses instead of growing', async () => {
    const controlPlane = await start();
    const results = await Promise.allSettled(Array.from({ length: 300 }, (_, n) => apply(controlPlane, service(`s${n}`))));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBe(300 - 256);
    expect(refused[0]?.reason).toMatchObject({ code: 'write-queue-full' });
    expect(controlPlane.store.head().index).toBe(256);
  });

  test('somebody else wrote to the store: understood again, both writes stand', async () => {
    const controlPlane = await start();
    await apply(controlPlane, service('a'));
    const { store } = controlPlane;
    const foreign = { kind: 'Service', name: 'foreign', ports: { http: { port: 1, protocol: 'http' } } };
    const append = store.append.bind(store);
    let interfere = true;
    store.append = async (input) => {
      if (interfere) {
        interfere = false;
        await append({ expectedHead: store.head(), author: 'other replica', message: '', kind: 'documents', changes: [{ key: 'Service/foreign', before: null, after: foreign, ownerBefore: '', ownerAfter: '' }], grants: [] });
      }
      return append(input);
    };
    expect(await apply(controlPlane, `${service('b')}dependsOn: [foreign]\n`).catch((error: unknown) => error)).toMatchObject({ code: 'documents-refused' });
    expect(await apply(controlPlane, service('b'))).toMatchObject({ outcome: 'committed', entry: { version: { index: 3 } } });
    expect([...store.documents().keys()].sort()).toEqual(['Service/a', 'Service/b', 'Service/foreign']);
    const last = controlPlane.published.at(-1);
    expect([...(last?.compilation.subjects.keys() ?? [])].sort()).toEqual(['service/a', 'service/b', 'service/foreign']);
  });

  test('a store that fails: the write is refused, nothing is published, the next one works', async () => {
    const controlPlane = await start();
    const { store } = controlPlane;
    const append = store.append.bind(store);
    store.append = () => Promise.reject(new StoreError('store-full', 'the disk is full'));
    await expect(apply(controlPlane, service('a'))).rejects.toMatchObject({ code: 'store-full' });
    expect(controlPlane.published).toHaveLength(1);
    store.append = append;
    expect(await apply(controlPlane, service('b'))).toMatchObject({ outcome: 'committed', entry: { version: { index: 1 } } });
    expect([...store.documents().keys()]).toEqual(['Service/b']);
    expect([...(controlPlane.published.at(-1)?.compilation.subjects.keys() ?? [])]).toEqual(['service/b']);
  });

  test('stopping: what was accepted is finished, what comes later is refused', async () => {
    const controlPlane = await start();
    const accepted = apply(controlPlane, service('a'));
    const stopped = controlPlane.writePath.stop();
    await expect(apply(controlPlane, service('b'))).rejects.toMatchObject({ code: 'stopping' });
    expect(await accepted).toMatchObject({ outcome: 'committed' });
    await stopped;
  });

  test('a listener that fails does not fail the write', async () => {
    const controlPlane = await start();
    controlPlane.writePath.onCommitted(() => {
      throw new Error('listener');
    });
    expect(await apply(controlPlane, service('a'))).toMatchObject({ outcome: 'committed' });
  });

  test('what was compiled is stored with the revision, and the next start compiles to the same', async () => {
    const controlPlane = await start();
    const { store } = controlPlane;
    await apply(controlPlane, service('a'));
    const hash = controlPlane.published.at(-1)?.compilation.subjects.get('service/a')?.hash ?? '';
    expect(store.manifestAt(1, 'service/a')).toBe(hash);
    expect(store.blob(hash)).not.toBeNull();
    const again = await start(store);
    expect(again.published).toMatchObject([{ version: { index: 1 } }]);
    expect(again.store.head().index).toBe(1);
    expect(again.published[0]?.compilation.subjects.get('service/a')?.hash).toBe(hash);
  });

  test('a build that compiles to other bytes says so in the log, once', async () => {
    const controlPlane = await start();
    const { store } = controlPlane;
    await apply(controlPlane, service('a'));
    store.putManifests(1, new Map([['service/a', 'f'.repeat(64)]]));
    const again = await start(store);
    expect(store.entry(2)).toMatchObject({ kind: 'format', changes: [] });
    expect(again.published[0]?.version.index).toBe(2);
    await start(store);
    expect(store.head().index).toBe(2);
  });
});
