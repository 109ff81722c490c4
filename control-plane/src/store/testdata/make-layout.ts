/**
 * Writes the store that `sqlite-file.test.ts` opens as one of an earlier release. Run once when a layout is released, with
 * the code of that release, and never again for that number: `node control-plane/src/store/testdata/make-layout.ts`.
 */
import { join } from 'node:path';
import { systemTimers } from '@remora/core/clock';
import { layoutVersion } from '../migrations.ts';
import { openSqliteStore } from '../sqlite-store.ts';
import { append, change, setClock } from './store-samples.ts';

const path = join(import.meta.dirname, `layout-${layoutVersion}.db`);
const store = openSqliteStore({ path: `${path}.made`, clock: setClock(), timers: systemTimers, alarm: (error) => { throw error; } });
await append(store, [change('Service/a', null, 1), change('Policy/b', null, 2, 'team')], { message: 'first' });
await append(store, [change('Service/a', 1, 3)], {
  compiled: { manifests: new Map([['service/a', 'b'.repeat(64)]]), blobs: new Map([['b'.repeat(64), Buffer.from('manifest')], ['c'.repeat(64), Buffer.from('resource')]]), references: new Map([['b'.repeat(64), ['c'.repeat(64)]]]) },
});
await append(store, [change('Service/gone', null, 1)], { idempotencyKey: 'key', idempotencyFingerprint: 'print' });
await append(store, [change('Service/gone', 1, null)], { message: 'forced', kind: 'grant', grants: [{ guard: 'loses-routes', subjects: ['gateway/edge'] }] });
store.putRecords('sidecars', new Map([['n1', { at: 1 }]]));
await store.backup(path);
await store.close();
