import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { entryName, headerName, oneOf, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { clientCertificateMax, headerFormats, mayCarry } from './wire.ts';

const dnsName = pattern(/^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, 'a host name such as partner.example, or *.partner.example');
const fingerprint = pattern(/^[0-9a-f]{64}$/, 'a SHA-256 in 64 lower-case hexadecimal digits');
const crlFile = pattern(/^\/[^\0]{1,1023}$/, 'an absolute path on the sidecar\'s host');
const text = z.string().min(1).max(1_024);

const acceptedSchema = z.strictObject({
  dnsNames: z.array(dnsName).min(1).max(clientCertificateMax.names).optional(),
  uris: z.array(text).min(1).max(clientCertificateMax.names).optional(),
  emails: z.array(text).min(1).max(clientCertificateMax.names).optional(),
  subjects: z.array(text).min(1).max(clientCertificateMax.names).optional(),
  fingerprints: z.array(fingerprint).min(1).max(clientCertificateMax.names).optional(),
});

/** `clientCertificate` as authored. */
export const clientCertificateSchema = z.strictObject({
  accept: z.record(entryName(), acceptedSchema).optional(),
  header: headerName().optional(),
  format: oneOf(headerFormats).optional(),
  crlFiles: z.array(crlFile).min(1).max(clientCertificateMax.crlFiles).optional(),
  onExpiredCrl: oneOf(['deny', 'allow']).optional(),
});

export type EffectiveAccepted = z.output<typeof acceptedSchema>;

export interface EffectiveClientCertificate {
  readonly accept?: Readonly<Record<string, EffectiveAccepted>>;
  readonly header?: string;
  readonly format?: string;
  readonly crlFiles?: readonly string[];
  readonly onExpiredCrl?: string;
}

export const clientCertificateDefaults: JsonObject = { format: 'xfcc', onExpiredCrl: 'deny' };

function pattern(accepted: RegExp, expected: string): z.ZodString {
  return z.string({ error: () => `must be ${expected}` }).superRefine((value, context) => {
    if (!accepted.test(value)) context.addIssue({ code: 'custom', message: `${JSON.stringify(value.slice(0, 80))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

export function checkClientCertificate(effective: JsonObject): Violation[] {
  const { accept = {}, header } = effective as unknown as EffectiveClientCertificate;
  const entries = Object.entries(accept);
  const found: Violation[] = entries.length > clientCertificateMax.entries ? [{ pointer: '/accept', code: 'too-many', message: `${entries.length} entries, at most ${clientCertificateMax.entries} are accepted` }] : [];
  for (const [name, entry] of entries) {
    if (Object.keys(entry).length === 0) found.push({ pointer: joinPointer('/accept', name), code: 'missing-field', message: 'an entry that names nobody accepts nobody', expected: 'dnsNames, uris, emails, subjects or fingerprints' });
  }
  if (header !== undefined && !mayCarry(header.toLowerCase())) found.push({ pointer: '/header', code: 'protected-header', message: `${header} means something else to every part on the way`, expected: 'a header such as x-client-certificate' });
  return found;
}
