import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { SecretError } from './secret-error.ts';
import { secretLimits } from './secret.ts';
import type { SecretSource } from './secret.ts';
import type { VaultClient } from './vault-client.ts';

/** Where values come from, other than from the request that sets them. */
export interface SecretSources {
  /** Throws SecretError `source-failed`; `signal` ends a wait. */
  read(source: Exclude<SecretSource, { kind: 'literal' }>, signal: AbortSignal): Promise<Uint8Array>;
}

export interface SecretSourcesDeps {
  /** The only folder whose files are read; '' for none. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** null: no Vault is configured. */
  readonly vault: VaultClient | null;
}

/** Variables that may be read: without the prefix, an editor could have any of the process. */
export const variablePattern = /^REMORA_SECRET_[A-Z0-9_]{1,100}$/;
/** Plain names: no folder, no hidden file. */
export const filePattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/;

export function createSecretSources({ folder, environment, vault }: SecretSourcesDeps): SecretSources {
  return {
    async read(source, signal) {
      switch (source.kind) {
        case 'file':
          return readSecretFile(folder, source.file);
        case 'environment': {
          const value = variablePattern.test(source.variable) ? environment[source.variable] : undefined;
          if (value === undefined || value === '') throw new SecretError('source-failed', `the control plane's environment has no ${source.variable.slice(0, 130)}`);
          return Buffer.from(value);
        }
        case 'vault':
          if (vault === null) throw new SecretError('source-failed', 'no Vault is configured: --vault-address');
          return vault.read(source, signal);
      }
    },
  };
}

/** Reads it through no link that leads elsewhere. */
function readSecretFile(folder: string, file: string): Buffer {
  if (folder === '') throw new SecretError('source-failed', 'no folder for secrets is configured: --secrets-dir');
  if (!filePattern.test(file)) throw new SecretError('source-failed', 'is not a plain file name');
  let descriptor = -1;
  try {
    descriptor = openSync(path.join(folder, file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { size } = fstatSync(descriptor);
    if (!fstatSync(descriptor).isFile()) throw new SecretError('source-failed', `${file} is no file`);
    if (size > secretLimits.valueBytes) throw new SecretError('source-failed', `${file} has ${size} bytes, at most ${secretLimits.valueBytes} are possible`);
    const bytes = Buffer.alloc(size);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, size, 0));
  } catch (error) {
    if (error instanceof SecretError) throw error;
    throw new SecretError('source-failed', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`, { cause: error });
  } finally {
    if (descriptor >= 0) closeSync(descriptor);
  }
}
