import { join } from 'node:path';
import { systemTimers } from '@remora/core/clock';
import { openSqliteStore } from './sqlite-store.ts';
import { storeContract } from './store-contract.ts';

storeContract('sqlite', (clock, folder) => openSqliteStore({ path: join(folder, 'control-plane.db'), clock, timers: systemTimers, alarm: (error) => { throw error; } }));
