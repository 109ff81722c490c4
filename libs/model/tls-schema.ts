import { cipherNames } from '@remora/core/cipher-suites';
import { duration, oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { issue } from './issue.ts';
import { documentName, hostPattern, named } from './names.ts';

/** A path on the host of the sidecars. Absolute: what it would be relative to is not the author's folder. */
const file = named(/^\/[^\0]{1,4094}$/, 'an absolute path on the host of the sidecar', 4_095);

const certificate = z.strictObject({
  secret: documentName().optional().meta({ description: 'name of a Secret with both in PEM: the certificate, those between it and the root, and its key' }),
  certFile: file.optional().meta({ description: 'PEM: the certificate, then those between it and the root' }),
  keyFile: file.optional().meta({ description: 'PEM: its key, not encrypted' }),
}).superRefine(({ secret, certFile, keyFile }, context) => {
  const files = certFile !== undefined || keyFile !== undefined;
  if (secret !== undefined && files) issue(context, 'exclusive', 'the Secret has both', 'secret, or certFile and keyFile', ['secret']);
  else if (secret === undefined && !files) issue(context, 'missing-field', 'needs a Secret, or certFile and keyFile', 'secret, or certFile and keyFile');
  else if (secret === undefined && (certFile === undefined || keyFile === undefined)) issue(context, 'missing-field', 'needs certFile and keyFile');
});

const versions = oneOf(['1.2', '1.3']).meta({ description: 'oldest version of TLS that is spoken; default 1.2' });
const ciphers = z.array(oneOf([...cipherNames])).min(1).max(cipherNames.length)
  .meta({ description: 'suites by OpenSSL\'s names; where none of a version is named, all of it that are safe' });
const protocols = z.array(oneOf(['h2', 'http/1.1'])).min(1).max(2);
const authorities = z.array(file).min(1).max(16);

/** TLS of a Gateway's listener. */
export const listenerTlsSchema = z.strictObject({
  certificates: z.array(certificate).min(1).max(64).meta({ description: 'chosen by the host that the client asks for; the first one where none fits' }),
  minVersion: versions.optional(),
  ciphers: ciphers.optional(),
  alpn: protocols.optional().meta({ description: 'protocols in order of preference; default all that are spoken' }),
  clientCaFiles: authorities.optional().meta({ description: 'authorities whose client certificates are believed' }),
  clientAuth: oneOf(['required', 'optional']).optional().meta({ description: 'default required; optional: clients without a certificate are served too' }),
  requireServerName: z.boolean().optional().meta({ description: 'refuses clients that ask for no host, or for one that no certificate names' }),
  handshakeTimeout: duration({ min: 100, max: 600_000 }).optional().meta({ description: 'from accepting to the end of the handshake; default 10s' }),
  handshakesMax: z.int().min(1).max(1_000_000).optional().meta({ description: 'handshakes under way in each data thread; more are refused; default 1000' }),
}).superRefine(({ clientAuth, clientCaFiles }, context) => {
  if (clientAuth !== undefined && clientCaFiles === undefined) issue(context, 'missing-field', 'clientAuth needs clientCaFiles: whom should be believed?', undefined, ['clientAuth']);
});

/** TLS to the endpoints of a Service port that speak it themselves. */
export const upstreamTlsSchema = z.strictObject({
  serverName: hostPattern().optional().meta({ description: 'host asked for by SNI and looked for in the certificate; default the endpoint\'s address' }),
  acceptedNames: z.array(z.string().min(1).max(2_048)).min(1).max(64).optional().meta({ description: 'names accepted instead of serverName: host names, or URIs such as SPIFFE ids' }),
  caFiles: authorities.optional().meta({ description: 'authorities that are believed; default those of the system' }),
  verify: oneOf(['full', 'none']).optional().meta({ description: 'none: any certificate is accepted; default full' }),
  minVersion: versions.optional(),
  ciphers: ciphers.optional(),
  alpn: protocols.optional().meta({ description: 'protocols offered, in order of preference; default by the port\'s protocol' }),
  clientCertificate: certificate.optional().meta({ description: 'shown to endpoints that ask for one' }),
}).superRefine((tls, context) => {
  if (tls.serverName?.startsWith('*.')) issue(context, 'invalid-name', 'is the one host that is asked for, without *', undefined, ['serverName']);
  if (tls.verify !== 'none') return;
  for (const field of ['caFiles', 'acceptedNames'] as const) {
    if (tls[field] !== undefined) issue(context, 'exclusive', `with verify: none, ${field} would have no effect`, undefined, [field]);
  }
});
