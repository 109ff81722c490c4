import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import { der } from './der.ts';
import { oids } from './oids.ts';

/**
 * A certification request (PKCS #10, RFC 2986) for a SPIFFE id, signed with the key it is for: the proof that whoever asks
 * has that key. Written here in some thirty lines, because the library that could would take 40 ms and 10 MB in each sidecar.
 */
export function createCertificateRequest(request: { readonly key: KeyObject; readonly spiffeId: string; readonly nodeId: string }): Buffer {
  const altName = der.sequence(der.context(6, Buffer.from(request.spiffeId, 'latin1'), false));
  const extensions = der.sequence(der.sequence(der.oid(oids.subjectAltName), der.octets(altName)));
  const info = der.sequence(
    der.integer(Buffer.of(0)),
    nameOf(request.nodeId),
    createPublicKey(request.key).export({ type: 'spki', format: 'der' }),
    der.context(0, der.sequence(der.oid(oids.extensionRequest), der.set(extensions)), true),
  );
  return der.sequence(info, der.sequence(der.oid(oids.ecdsaWithSha256)), der.bits(sign('sha256', info, request.key)));
}

/** A Name with one common name. */
export function nameOf(commonName: string): Buffer {
  return der.sequence(der.set(der.sequence(der.oid(oids.commonName), der.utf8(commonName))));
}
