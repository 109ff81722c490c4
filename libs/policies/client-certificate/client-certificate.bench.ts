import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { clientCertificateAuthoring } from './compile.ts';
import { clientCertificateRuntime } from './filter.ts';

/** A certificate that is accepted by its name, and a header for the app. */
export function bench(): KindCost {
  return measureEdge(clientCertificateAuthoring, clientCertificateRuntime, { accept: { partners: { dnsNames: ['*.partner.example'] } }, header: 'x-client-certificate' }, {
    request: { method: 'GET', authority: 'api.example', target: '/orders' },
    connection: { clientCertificate: { fingerprint: 'ab', subject: 'CN=till', dnsNames: ['a.partner.example'], uris: [], emails: [], endsMs: Number.MAX_SAFE_INTEGER, serial: '', issuerHash: '', issuerKeyId: '' } },
  });
}
