import { boundedList, boundedText, decodeMessage, oneWord, wireHeaderName } from '@remora/policy-kit/wire-check';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { ClientCertificate, type Accepted } from './gen/client-certificate.ts';
import { clientCertificateExpired, clientCertificateRefused, clientCertificateRevoked, clientCertificateUnchecked } from './reasons.ts';

export interface ClientCertificateSettings {
  readonly accept: readonly AcceptedNames[];
  readonly header: string;
  /** Paths on the sidecar's host. Empty: revocation is not looked at. */
  readonly crlFiles: readonly string[];
  /** A list whose time is over still counts. */
  readonly allowExpiredCrl: boolean;
  readonly format: (typeof headerFormats)[number];
}

export interface AcceptedNames {
  readonly name: string;
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  readonly emails: readonly string[];
  readonly subjects: readonly string[];
  readonly fingerprints: readonly string[];
}

export const clientCertificateMax = { entries: 256, names: 256, crlFiles: 16 } as const;
export const headerFormats = ['xfcc', 'subject', 'fingerprint'] as const;

export const clientCertificateWire = { name: 'clientCertificate', format: 2, reasons: [clientCertificateRefused, clientCertificateExpired, clientCertificateRevoked, clientCertificateUnchecked], decode: decodeClientCertificate } as const;

/** A header that may carry what the certificate says: none of the connection, of framing, or of Remora itself. */
export function mayCarry(lowerName: string): boolean {
  return !taken.has(lowerName) && !lowerName.startsWith('x-remora-') && !lowerName.startsWith('x-forwarded-');
}

const taken: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'keep-alive', 'expect', 'authorization', 'cookie', 'content-type']);

function decodeClientCertificate(bytes: Uint8Array): ClientCertificateSettings {
  const message = decodeMessage(ClientCertificate, bytes);
  if (message.header !== '' && !mayCarry(message.header)) throw new WireError('/header', 'protected-header', `${message.header.slice(0, 60)} is not accepted here`);
  return Object.freeze({
    accept: Object.freeze(boundedList(message.accept, '/accept', clientCertificateMax.entries).map(readAccepted)),
    header: message.header === '' ? '' : wireHeaderName(message.header, '/header'),
    format: oneWord(message.format, '/format', headerFormats),
    crlFiles: Object.freeze(boundedList(message.crlFiles, '/crlFiles', clientCertificateMax.crlFiles).map((file) => boundedText(file, '/crlFiles', 1_024, /^\/[^\0]+$/))),
    allowExpiredCrl: message.allowExpiredCrl,
  });
}

function readAccepted({ name, dnsNames, uris, emails, subjects, fingerprints }: Accepted): AcceptedNames {
  const pointer = `/accept/${boundedText(name, '/accept', 63, /^[A-Za-z][A-Za-z0-9_-]*$/)}`;
  const list = (values: readonly string[], field: string): readonly string[] => Object.freeze(boundedList(values, `${pointer}/${field}`, clientCertificateMax.names).map((value) => boundedText(value, `${pointer}/${field}`, 1_024)));
  return Object.freeze({
    name, dnsNames: list(dnsNames, 'dnsNames'), uris: list(uris, 'uris'), emails: list(emails, 'emails'), subjects: list(subjects, 'subjects'), fingerprints: list(fingerprints, 'fingerprints'),
  });
}
