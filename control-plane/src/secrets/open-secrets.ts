import { readFileSync } from 'node:fs';
import type { Clock } from '@remora/core/clock';
import { readEncryptionKey } from '@remora/identity/encryption-key';
import { createRefusingSealer, createRotatingSealer } from '../identity/rotating-sealer.ts';
import { createSealer, type Sealer } from '../identity/sealer.ts';
import type { SecretSettings, VaultSettings } from '../settings/control-plane-settings.ts';
import { StartError } from '../start-error.ts';
import { createSecretSources, type SecretSources } from './secret-sources.ts';
import type { VaultClient } from './vault-client.ts';

/** What keeps secrets, and where they come from. */
export interface OpenSecrets {
  readonly sealer: Sealer;
  readonly sources: SecretSources;
  close(): Promise<void>;
}

/** As the settings say. `durable`: what is kept outlives the process. Throws StartError with a sentence for people. */
export async function openSecrets(settings: SecretSettings, surroundings: { readonly durable: boolean; readonly environment: Readonly<Record<string, string | undefined>>; readonly clock: Clock }): Promise<OpenSecrets> {
  const vault = settings.vault === null ? null : await openVault(settings.vault, surroundings.clock);
  return {
    sealer: secretSealer(settings, surroundings.durable),
    sources: createSecretSources({ folder: settings.folder, environment: surroundings.environment, vault }),
    close: async () => vault?.close(),
  };
}

/** Without a key nothing secret goes to a disk, unless that was asked for. */
export function secretSealer(settings: Pick<SecretSettings, 'encryptionKey' | 'encryptionKeyFile' | 'previousKey' | 'previousKeyFile' | 'keyStorage'>, durable: boolean): Sealer {
  const current = keyOf(settings.encryptionKey, settings.encryptionKeyFile, 'REMORA_CP_ENCRYPTION_KEY');
  const previous = keyOf(settings.previousKey, settings.previousKeyFile, 'REMORA_CP_PREVIOUS_ENCRYPTION_KEY');
  if (current !== null) return createRotatingSealer(createSealer(current), previous === null ? [] : [createSealer(previous)]);
  if (!durable || settings.keyStorage === 'plain') return createSealer(null);
  return createRefusingSealer('this control plane has no key to encrypt it with: start it with --encryption-key-file or REMORA_CP_ENCRYPTION_KEY (`openssl rand -base64 32` makes one), or, for a demo, with --key-storage plain');
}

function keyOf(given: string, file: string, variable: string): Buffer | null {
  const text = file === '' ? given : readText(file);
  if (text === '') return null;
  const key = readEncryptionKey(text);
  if (typeof key === 'string') throw new StartError('refused', `${file === '' ? variable : file} ${key}`);
  return key;
}

async function openVault({ address, token, tokenFile, namespace, authorityFile }: VaultSettings, clock: Clock): Promise<VaultClient> {
  const { createVaultClient } = await import('./vault-client.ts');
  return createVaultClient({ address, namespace, clock, authority: authorityFile === '' ? '' : readText(authorityFile), token: tokenFile === '' ? () => token : () => readText(tokenFile).trim() });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError('refused', `${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`, { cause: error });
  }
}
