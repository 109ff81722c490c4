import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ClientCertificate } from './gen/client-certificate.ts';
import { checkClientCertificate, clientCertificateDefaults, clientCertificateSchema, type EffectiveClientCertificate } from './schema.ts';

/** Certificates of clients from outside: provider side. */
export const clientCertificateAuthoring: AuthoringKind = {
  name: 'clientCertificate',
  side: 'provider',
  always: false,
  shadow: true,
  format: 2,
  schema: clientCertificateSchema,
  defaults: clientCertificateDefaults,
  consumers: ['certificate'],
  check: checkClientCertificate,
  compile: (effective) => ({ minFormat: effective.crlFiles === undefined ? 1 : 2, body: ClientCertificate.encode(toMessage(effective)).finish() }),
};

function toMessage({ accept = {}, header, format, crlFiles, onExpiredCrl }: EffectiveClientCertificate): ClientCertificate {
  return {
    accept: Object.entries(accept).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, entry]) => ({
      name, dnsNames: sorted(entry.dnsNames), uris: sorted(entry.uris), emails: sorted(entry.emails), subjects: sorted(entry.subjects), fingerprints: sorted(entry.fingerprints),
    })),
    header: header?.toLowerCase() ?? '',
    format: format ?? 'xfcc',
    crlFiles: sorted(crlFiles),
    allowExpiredCrl: crlFiles !== undefined && onExpiredCrl === 'allow',
  };
}

function sorted(list: readonly string[] | undefined): string[] {
  return [...new Set(list)].sort();
}
