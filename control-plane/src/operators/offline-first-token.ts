import { existsSync } from 'node:fs';
import type { Clock, Timers } from '@remora/core/clock';
import { databasePath } from '../store/backup.ts';
import { openSqliteStore } from '../store/sqlite-store.ts';
import { StoreError } from '../store/store-error.ts';
import { FirstToken } from './first-token.ts';

/**
 * Another first token, in place of any before it, for a control plane that lost its administrators: whoever may write its disk could give
 * themselves any right anyway. The control plane must be stopped. The audit log tells of it. Throws StoreError.
 */
export async function makeFirstTokenOffline({ dataDir, clock, timers }: { readonly dataDir: string; readonly clock: Clock; readonly timers: Timers }): Promise<string> {
  const path = databasePath(dataDir);
  if (!existsSync(path)) throw new StoreError('store-missing', `${path}: there is no such file`);
  const store = openSqliteStore({ path, clock, timers, alarm: (error) => { throw error; } });
  try {
    const text = new FirstToken(store).make();
    store.audit.append([{ action: 'firstToken.make', actor: { kind: 'system' }, outcome: 'done', what: { to: 'remora control-plane first-token' } }]);
    return text;
  } finally {
    await store.close();
  }
}
