import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { CredentialBook } from '../consumers/credential-book.ts';
import type { SecretBook } from './secret-book.ts';
import type { SecretItems } from './secret-items.ts';

/** Figures of Secrets and of the credentials of Consumers. */
export function createSecretMetrics(registry: Registry, sources: { readonly credentials: CredentialBook; readonly secrets: SecretBook; readonly secretItems: SecretItems }): void {
  const { credentials, secrets, secretItems } = sources;
  gauge(registry, 'remora_secrets', 'Secrets that are kept.', () => secrets.size);
  gauge(registry, 'remora_secrets_stale', 'Secrets whose source did not answer last: their last good value stays.', () => secrets.problems);
  gauge(registry, 'remora_secrets_missing', 'Names of Secrets that settings refer to, and that were never set.', () => [...secretItems.needed().keys()].filter((name) => secrets.find(name) === null).length);
  gauge(registry, 'remora_consumer_credentials', 'Credentials of Consumers that are kept, those past their end included.', () => credentials.size);
}

function gauge(registry: Registry, name: string, help: string, read: () => number): Gauge {
  return new Gauge({ name, help, registers: [registry], collect() { this.set(read()); } });
}
