import type { JsonObject } from '@remora/core/canonical-json';

/** Where a value comes from. */
export type SecretSource =
  /** Given once. */
  | { readonly kind: 'literal' }
  /** A file of the folder for secrets on the control plane's host, by its plain name. */
  | { readonly kind: 'file'; readonly file: string }
  /** A variable `REMORA_SECRET_…` of the control plane's environment. */
  | { readonly kind: 'environment'; readonly variable: string }
  /** A field of a secret of HashiCorp Vault's key-value store, version 2. */
  | { readonly kind: 'vault'; readonly mount: string; readonly path: string; readonly field: string };

/** What is known of a Secret. Nothing of its value but its size. */
export interface SecretStatus {
  readonly name: string;
  readonly source: SecretSource;
  /** Of the value; another one has another id. '' before the first. */
  readonly version: string;
  readonly bytes: number;
  readonly createdMs: number;
  readonly changedMs: number;
  readonly author: string;
  /** Why its source did not answer last; '' where it did. The last good value stays. */
  readonly problem: string;
  /** When the source was read with success last; null: literal. */
  readonly readMs: number | null;
}

/** A Secret as it is kept: the value encrypted with a key of its own, which the sealer keeps. */
export interface KeptSecret extends Omit<SecretStatus, 'problem'> {
  readonly sealedKey: JsonObject | null;
  readonly nonce: string;
  readonly tag: string;
  readonly data: string;
}

export const secretLimits = {
  valueBytes: 128 * 1024,
  secrets: 10_000,
  nameLength: 127,
} as const;

/** As documents name it; never a path. */
export const secretNamePattern = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,125}[A-Za-z0-9_])?$/;

export function readKeptSecret(name: string, record: JsonObject): KeptSecret | null {
  const text = (field: string): string => (typeof record[field] === 'string' ? record[field] : '');
  const number = (field: string): number => (typeof record[field] === 'number' ? record[field] : 0);
  const source = readSource(record['source']);
  const sealedKey = record['sealedKey'];
  if (source === null || !secretNamePattern.test(name)) return null;
  return {
    name, source, version: text('version'), bytes: number('bytes'), createdMs: number('createdMs'), changedMs: number('changedMs'), author: text('author'),
    readMs: typeof record['readMs'] === 'number' ? record['readMs'] : null,
    sealedKey: typeof sealedKey === 'object' && sealedKey !== null && !Array.isArray(sealedKey) ? (sealedKey as JsonObject) : null,
    nonce: text('nonce'), tag: text('tag'), data: text('data'),
  };
}

function readSource(value: unknown): SecretSource | null {
  if (typeof value !== 'object' || value === null) return null;
  const { kind, file, variable, mount, path, field } = value as Readonly<Record<string, unknown>>;
  if (kind === 'literal') return { kind };
  if (kind === 'file' && typeof file === 'string') return { kind, file };
  if (kind === 'environment' && typeof variable === 'string') return { kind, variable };
  if (kind === 'vault' && typeof mount === 'string' && typeof path === 'string' && typeof field === 'string') return { kind, mount, path, field };
  return null;
}

/** `vault secret/data-team/api#cert`: for lists. */
export function sourceText(source: SecretSource): string {
  switch (source.kind) {
    case 'literal': return 'literal';
    case 'file': return `file ${source.file}`;
    case 'environment': return `environment ${source.variable}`;
    case 'vault': return `vault ${source.mount}/${source.path}#${source.field}`;
  }
}
