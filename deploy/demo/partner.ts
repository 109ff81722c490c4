import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { askShop } from './gateway-client.ts';
import { until } from './until.ts';
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
  const { fleet } = world;
  const { folder } = fleet;
  const document = path.join(folder, 'roomy.yaml');
  writeFileSync(document, readFileSync(path.join(folder, 'protected.yaml'), 'utf8').replace('requests: 5,', 'requests: 1000000,'));
  const key = (await world.remora(['consumer', 'key', 'create', 'partner'], { secret: true, quiet: true })).out.trim();
  // Made is not yet known at the gateway: keys travel beside the snapshots, and nobody has waited for this one.
  await until({ label: 'the key at the gateway', look: () => askShop({ port: fleet.gatewayPort, path: '/cart/12', headers: { 'x-api-key': key } }), holds: ({ status }) => status !== 401, timeoutMs: 20_000 });
  return { key, document };
}
