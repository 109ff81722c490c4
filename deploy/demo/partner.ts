import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { World } from './world.ts';

/** A client of the gateway that may ask as often as it likes. */
export interface BusyPartner {
  /** For `x-api-key`. */
  readonly key: string;
  /** The clients' policy with room for it, to be applied. */
  readonly document: string;
}

/** After the step that protects the gateway. */
export async function busyPartner(world: World): Promise<BusyPartner> {
  const { folder } = world.fleet;
  const document = path.join(folder, 'roomy.yaml');
  writeFileSync(document, readFileSync(path.join(folder, 'protected.yaml'), 'utf8').replace('requests: 5,', 'requests: 1000000,'));
  const key = (await world.remora(['consumer', 'key', 'create', 'partner', '--wait', '--timeout', '20s'], { secret: true, quiet: true })).out.trim();
  return { key, document };
}
