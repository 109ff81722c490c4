import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ClientCertificate } from './gen/client-certificate.ts';
import { checkClientCertificate, clientCertificateDefaults, clientCertificateSchema, type EffectiveClientCertificate } from './schema.ts';

/** Certificates of clients from outside: provider side. */
export const clientCertificateAuthoring: AuthoringKind = {
  name: 'clientCertificate',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: clientCertificateSchema,
  defaults: clientCertificateDefaults,
  consumers: ['certificate'],
  check: checkClientCertificate,
  compile: (effective) => ({ minFormat: 1, body: ClientCertificate.encode(toMessage(effective)).finish() }),
};

function toMessage({ accept = {}, header, format }: EffectiveClientCertificate): ClientCertificate {
  return {
    accept: Object.entries(accept).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, entry]) => ({
      name, dnsNames: sorted(entry.dnsNames), uris: sorted(entry.uris), emails: sorted(entry.emails), subjects: sorted(entry.subjects), fingerprints: sorted(entry.fingerprints),
    })),
    header: header?.toLowerCase() ?? '',
    format: format ?? 'xfcc',
  };
}

function sorted(list: readonly string[] | undefined): string[] {
  return [...new Set(list)].sort();
}
