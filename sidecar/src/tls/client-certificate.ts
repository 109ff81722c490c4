import type { X509Certificate } from 'node:crypto';
import { certificateIssuer } from '@remora/identity/certificate-issuer';
import type { ClientCertificateFacts } from '@remora/policy-kit/client-certificate-facts';
import { certificateNames } from './certificate-names.ts';
import { fingerprintOf } from './mesh-identity.ts';

/** What policies are told of a client's certificate. For certificates that `peerIdentity` took: names that cannot be read are none. */
export function clientCertificateFacts(certificate: X509Certificate): ClientCertificateFacts {
  const names = certificateNames(certificate);
  const emails = typeof names === 'string' ? [] : (certificate.subjectAltName ?? '').split(', ').filter((entry) => entry.startsWith('email:')).map((entry) => entry.slice('email:'.length));
  return Object.freeze({
    ...certificateIssuer(certificate),
    fingerprint: fingerprintOf(certificate), subject: subjectText(certificate.subject), endsMs: certificate.validToDate.getTime(), emails,
    dnsNames: typeof names === 'string' ? [] : names.dns, uris: typeof names === 'string' ? [] : names.uris,
  });
}

/** RFC 4514: the most specific part first, joined by commas. Node has a part in each line, the most general first, escaped already but for what separates. */
function subjectText(subject: string | undefined): string {
  return (subject ?? '').split('\n').filter((part) => part !== '').reverse().map((part) => {
    const equals = part.indexOf('=');
    return `${part.slice(0, equals)}=${part.slice(equals + 1).replaceAll(/(?<!\\)([,+"<>;])/g, '\\$1')}`;
  }).join(',');
}
