import { readFileSync } from 'node:fs';
import { readEncryptionKey } from '@remora/identity/encryption-key';
import { StartError } from '../start-error.ts';
import type { IdentitySettings } from '../settings/control-plane-settings.ts';
import type { AuthorityFiles } from './authority-keeper.ts';
import { createControlPlaneIdentity, type ControlPlaneIdentity, type ControlPlaneIdentityDeps } from './control-plane-identity.ts';
import { IdentityError } from './identity-error.ts';
import { createRotatingSealer } from './rotating-sealer.ts';
import { createSealer, type Sealer } from './sealer.ts';

type Surroundings = Omit<ControlPlaneIdentityDeps, 'sealer' | 'readFiles' | 'readNextFiles' | 'recoveryMs'> & { readonly durable: boolean };

/** Identity as the settings say it. Throws StartError with a sentence for people. */
export function startIdentity(settings: IdentitySettings, surroundings: Surroundings): ControlPlaneIdentity {
  const files = settings.authorityCertificateFile === '' ? null : (): AuthorityFiles => ({ certificates: readText(settings.authorityCertificateFile), key: readText(settings.authorityKeyFile) });
  const next = settings.nextAuthorityCertificateFile === '' ? null : (): AuthorityFiles => ({ certificates: readText(settings.nextAuthorityCertificateFile), key: readText(settings.nextAuthorityKeyFile) });
  const sealer = sealerOf(settings, surroundings, files !== null);
  try {
    return createControlPlaneIdentity({ ...surroundings, sealer, readFiles: files, readNextFiles: next, recoveryMs: settings.recoveryMs });
  } catch (error) {
    if (error instanceof IdentityError) throw new StartError('refused', error.message, { cause: error });
    throw error;
  }
}

function sealerOf(settings: IdentitySettings, { durable, log }: Surroundings, fromFiles: boolean): Sealer {
  const given = settings.encryptionKeyFile === '' ? settings.encryptionKey : readText(settings.encryptionKeyFile);
  const where = settings.encryptionKeyFile === '' ? 'REMORA_CP_ENCRYPTION_KEY' : settings.encryptionKeyFile;
  if (given !== '') {
    const previous = settings.previousKeyFile === '' ? settings.previousKey : readText(settings.previousKeyFile);
    const wherePrevious = settings.previousKeyFile === '' ? 'REMORA_CP_PREVIOUS_ENCRYPTION_KEY' : settings.previousKeyFile;
    return createRotatingSealer(createSealer(keyIn(given, where)), previous === '' ? [] : [createSealer(keyIn(previous, wherePrevious))]);
  }
  // Nothing of ours goes to a disk then.
  if (!durable || fromFiles) return createSealer(null);
  if (settings.keyStorage !== 'plain') {
    throw new StartError('refused', 'the key of the certificate authority would be kept without encryption: give a key with --encryption-key-file or REMORA_CP_ENCRYPTION_KEY (`openssl rand -base64 32` makes one), or, for a demo, --key-storage plain');
  }
  log.warn('THE KEY OF THE CERTIFICATE AUTHORITY IS KEPT WITHOUT ENCRYPTION (--key-storage plain): whoever reads the store can be any service');
  return createSealer(null);
}

function keyIn(text: string, where: string): Buffer {
  const key = readEncryptionKey(text);
  if (typeof key === 'string') throw new StartError('refused', `${where} ${key}`);
  return key;
}

const bytesMax = 1024 * 1024;

function readText(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError('refused', `${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`, { cause: error });
  }
  if (text.length > bytesMax) throw new StartError('refused', `${path} has more than 1 MiB`);
  return text;
}
