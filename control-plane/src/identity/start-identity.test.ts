import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { seededRandom } from '@remora/core/random';
import { ManualTimers } from '@remora/testing/manual-timers';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createProcessLog } from '../process-log.ts';
import type { IdentitySettings } from '../settings/control-plane-settings.ts';
import { StartError } from '../start-error.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { ControlPlaneIdentity } from './control-plane-identity.ts';
import { startIdentity } from './start-identity.ts';
import { ManualClock } from '@remora/testing/manual-clock';

const none: IdentitySettings = { enrolmentHost: '127.0.0.1', enrolmentPort: 0, encryptionKey: '', encryptionKeyFile: '', previousKey: '', previousKeyFile: '', keyStorage: 'encrypted', authorityCertificateFile: '', authorityKeyFile: '', nextAuthorityCertificateFile: '', nextAuthorityKeyFile: '', recoveryMs: 1 };
const key = Buffer.alloc(32, 7).fill(1, 9).toString('base64');

describe('identity as the settings say it', () => {
  let folder: string;
  let lines: string[];
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'remora-start-'));
    lines = [];
    const { cert, key: authorityKey } = new TestAuthority('company');
    writeFileSync(path.join(folder, 'ca.pem'), cert);
    writeFileSync(path.join(folder, 'ca.key'), authorityKey);
    writeFileSync(path.join(folder, 'key'), `${key}\n`);
    writeFileSync(path.join(folder, 'wrong'), 'PLANTED');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function start(settings: Partial<IdentitySettings>, durable = true): ControlPlaneIdentity {
    const time = new ManualTimers(new ManualClock(Date.now()));
    const log = createProcessLog({ level: 'debug', clock: time.clock, write: (line) => lines.push(line) });
    const inFolder = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, name.endsWith('File') ? path.join(folder, String(value)) : value]));
    const identity = startIdentity({ ...none, ...inFolder }, { store: createMemoryStore({ clock: time.clock }), clock: time.clock, timers: time, random: seededRandom(1), soon: queueMicrotask, log, durable });
    identity.close();
    return identity;
  }

  test.each<[string, Partial<IdentitySettings>, boolean, boolean]>([
    ['a key from the environment', { encryptionKey: key }, true, true],
    ['a key from a file', { encryptionKeyFile: 'key' }, true, true],
    ['a store that keeps nothing', {}, false, false],
    ['an authority from files', { authorityCertificateFile: 'ca.pem', authorityKeyFile: 'ca.key' }, true, true],
    ['a demo', { keyStorage: 'plain' }, true, false],
  ])('%s', (_name, settings, durable, encrypted) => {
    expect(start(settings, durable).authorityStatus().encrypted).toBe(encrypted);
    expect(lines.some((line) => line.includes('WITHOUT ENCRYPTION'))).toBe(settings.keyStorage === 'plain');
  });

  test.each<[string, Partial<IdentitySettings>, string]>([
    ['no key', {}, 'would be kept without encryption'],
    ['a key that is none', { encryptionKey: 'PLANTED' }, 'REMORA_CP_ENCRYPTION_KEY is no key'],
    ['a file that has none', { encryptionKeyFile: 'wrong' }, 'is no key'],
    ['a file that is not there', { encryptionKeyFile: 'gone' }, 'cannot be read: ENOENT'],
    ['an authority that is none', { authorityCertificateFile: 'wrong', authorityKeyFile: 'ca.key' }, 'there is no certificate in it'],
    ['the key of another one', { authorityCertificateFile: 'ca.pem', authorityKeyFile: 'wrong' }, 'the key of the authority cannot be read'],
  ])('%s is refused in one sentence', (_name, settings, message) => {
    let error: unknown;
    try {
      start(settings);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(StartError);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('PLANTED');
    expect(readFileSync(path.join(folder, 'key'), 'utf8')).toContain(key);
  });
});
