import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SidecarSettings } from '../settings/sidecar-settings.ts';
import type { Log } from '../telemetry/log.ts';

const pattern = /^[A-Za-z0-9._:-]{1,253}$/;

/**
 * The name of this instance: the one set, or one made at the first start and kept in the data directory. Where that
 * cannot be written the name lasts as long as the process.
 */
export async function readNodeId(settings: Pick<SidecarSettings, 'nodeId' | 'dataDir' | 'subject'>, log: Log): Promise<string> {
  if (settings.nodeId !== '') return settings.nodeId;
  const file = join(settings.dataDir, 'node-id');
  const kept = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (pattern.test(kept)) return kept;
  const made = `${settings.subject.name}-${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(settings.dataDir, { recursive: true, mode: 0o700 });
    await writeFile(`${file}.new`, `${made}\n`, { mode: 0o600 });
    await rename(`${file}.new`, file);
  } catch (error) {
    log.warn('the name of this instance cannot be kept', { cause: error instanceof Error ? error.message : String(error) });
  }
  return made;
}
