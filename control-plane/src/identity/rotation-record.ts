import { createPrivateKey } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import { certificatePem, readCertificates } from '@remora/identity/pem';
import { IdentityError } from './identity-error.ts';
import type { Sealer } from './sealer.ts';
import type { SigningAuthority } from './signing-authority.ts';

/**
 * How far a roll of the authority is. `add`: the next root counts beside the one that signs. `sign`: the next one signs, the one before counts on. Then the one
 * before is retired, and there is no rotation any more.
 */
export interface Rotation {
  readonly stage: 'add' | 'sign';
  readonly next: SigningAuthority;
  readonly startedMs: number;
  /** When this stage began. */
  readonly changedMs: number;
  /** Over which time sidecars spread their renewals. */
  readonly windowMs: number;
}

const purpose = 'key of the next certificate authority';

/** What of it is kept in the store; the next authority of files stays in its files. */
export function rotationRecord({ stage, next, startedMs, changedMs, windowMs }: Rotation, sealer: Sealer): JsonObject {
  const common = { stage, startedMs, changedMs, windowMs, trustDomain: next.trustDomain };
  if (next.source === 'files') return { ...common, certificate: '' };
  return { ...common, certificate: certificatePem(next.issuer.raw), key: sealer.seal(purpose, next.key.export({ type: 'pkcs8', format: 'der' })) };
}

/** Throws IdentityError where it cannot be used: without the next authority what sidecars hold would be wrong. */
export function readRotation(record: JsonObject, sealer: Sealer, fromFiles: () => SigningAuthority | null): Rotation {
  const { stage, startedMs, changedMs, windowMs, trustDomain, certificate, key } = record;
  if ((stage !== 'add' && stage !== 'sign') || typeof startedMs !== 'number' || typeof changedMs !== 'number' || typeof windowMs !== 'number' || typeof trustDomain !== 'string' || typeof certificate !== 'string') {
    throw new IdentityError('bad-authority', 'the rotation of the authority in the store cannot be read');
  }
  const next = certificate === '' ? fromFiles() : generated(trustDomain, certificate, sealer.open(purpose, (key ?? {}) as JsonObject));
  if (next === null) throw new IdentityError('bad-authority', 'a rotation of the authority is under way, and --ca-next-certificate-file and --ca-next-key-file are not given any more');
  return { stage, next, startedMs, changedMs, windowMs };
}

function generated(trustDomain: string, certificate: string, der: Buffer): SigningAuthority {
  const roots = readCertificates(certificate);
  const [root] = roots;
  if (typeof roots === 'string' || root === undefined || typeof root === 'string') throw new IdentityError('bad-authority', 'the certificate of the next authority in the store cannot be read');
  return { trustDomain, source: 'generated', issuer: root, key: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }), intermediates: [], roots: [root] };
}
