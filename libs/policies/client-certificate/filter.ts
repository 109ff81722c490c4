import { HeaderAliases } from '@remora/http/header-aliases';
import { makeField } from '@remora/http/header-ids';
import type { Field } from '@remora/http/head';
import type { ClientCertificateFacts } from '@remora/policy-kit/client-certificate-facts';
import { consumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { Answer, EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { clientCertificateExpired, clientCertificateRefused, clientCertificateRevoked, clientCertificateUnchecked } from './reasons.ts';
import { Revocations } from './revocations.ts';
import { clientCertificateWire, type AcceptedNames, type ClientCertificateSettings } from './wire.ts';

/** Finds the certificate that a client showed to the listener. Refuses nothing by itself: `authentication` decides. */
export const clientCertificateRuntime: RuntimeKind<ClientCertificateSettings> = {
  ...clientCertificateWire,
  side: 'provider',
  edge: makeFilter,
};

/** What is said of one certificate; the same for all requests of its connection. */
interface Judgement {
  readonly accepted: boolean;
  readonly field: Field | null;
}

function makeFilter(settings: ClientCertificateSettings, context: FilterContext): EdgeFilter {
  const consumers = consumerDirectory(context.facts('consumers'));
  const aliases = settings.header === '' ? null : new HeaderAliases([settings.header]);
  const refused: Answer = context.refuse(clientCertificateRefused, '/accept', 'the certificate is none of those that are accepted');
  const expired: Answer = context.refuse(clientCertificateExpired, '', 'the certificate of the connection has expired');
  const revoked: Answer = context.refuse(clientCertificateRevoked, '/crlFiles', 'the certificate of the connection is revoked');
  const unchecked: Answer = context.refuse(clientCertificateUnchecked, '/crlFiles', 'no current list of revoked certificates is of the authority of this one');
  const revocations = settings.crlFiles.length === 0 ? null : new Revocations(settings.crlFiles, settings.allowExpiredCrl, context);
  const judgements = new WeakMap<ClientCertificateFacts, Judgement>();
  return {
    kind: 'clientCertificate',
    request(x: Exchange): null {
      const identity = (x.identity ??= new RequestIdentity());
      identity.looks('clientCertificate');
      if (aliases !== null) x.head.removeAliases(aliases);
      const certificate = x.connection.clientCertificate ?? null;
      if (certificate === null) return null;
      let judgement = judgements.get(certificate);
      if (judgement === undefined) judgements.set(certificate, judgement = judge(certificate, settings));
      const revocation = revocations === null ? 'good' : revocations.verdict(certificate, x.startedWallMs);
      if (!judgement.accepted) identity.fails('clientCertificate', refused);
      else if (x.startedWallMs >= certificate.endsMs) identity.fails('clientCertificate', expired);
      else if (revocation !== 'good') identity.fails('clientCertificate', revocation === 'revoked' ? revoked : unchecked);
      else {
        const credential = consumers.byCertificate(certificate);
        const current = credential !== null && x.startedWallMs < credential.expiresMs;
        identity.finds('clientCertificate', { consumer: current ? credential.consumer : null, subject: certificate.subject, issuer: '', claims: null, scopes: noScopes });
        if (judgement.field !== null) x.head.put(judgement.field);
      }
      return null;
    },
  };
}

const noScopes: readonly string[] = Object.freeze([]);

function judge(certificate: ClientCertificateFacts, { accept, header, format }: ClientCertificateSettings): Judgement {
  const accepted = accept.length === 0 || accept.some((names) => fits(certificate, names));
  return { accepted, field: header === '' || !accepted ? null : makeField(header, headerValue(certificate, format)) };
}

function fits({ dnsNames, uris, emails, subject, fingerprint }: ClientCertificateFacts, wanted: AcceptedNames): boolean {
  return wanted.fingerprints.includes(fingerprint) || wanted.subjects.includes(subject) || uris.some((one) => wanted.uris.includes(one)) || emails.some((one) => wanted.emails.includes(one))
    || dnsNames.some((one) => wanted.dnsNames.some((name) => sameHost(name, one)));
}

/** `*.` stands for exactly one label. A wildcard in the certificate is a name like any other: it must be accepted as it is. */
function sameHost(accepted: string, name: string): boolean {
  if (!accepted.startsWith('*.')) return accepted === name;
  const dot = name.indexOf('.');
  return dot > 0 && !name.startsWith('*') && name.slice(dot) === accepted.slice(1);
}

/** As Envoy writes it: quoted where a value may hold what separates. */
function headerValue({ fingerprint, subject, uris, dnsNames }: ClientCertificateFacts, format: ClientCertificateSettings['format']): string {
  if (format === 'fingerprint') return fingerprint;
  if (format === 'subject') return printable(subject);
  const parts = [`Hash=${fingerprint}`, `Subject="${printable(subject).replaceAll(/["\\]/g, '\\$&')}"`, ...uris.map((uri) => `URI=${quoted(uri)}`), ...dnsNames.map((name) => `DNS=${quoted(name)}`)];
  return parts.join(';');
}

function quoted(value: string): string {
  return /[,;="]/.test(value) ? `"${value.replaceAll(/["\\]/g, '\\$&')}"` : value;
}

/** Values of headers are visible ASCII here: everything else becomes `?`, so that nothing can pass for something else. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
