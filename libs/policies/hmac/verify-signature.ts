import { constants, createHmac, createPublicKey, timingSafeEqual, verify, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto';
import type { ConsumerSigningKey } from '@remora/policy-kit/consumer-credentials';

/** Whether a signature is over `base`, by the algorithm of the key: what the signature says of its algorithm decides nothing. `done` null: on this thread, at once. */
export function verifySignature(key: ConsumerSigningKey, base: string, signature: Buffer, done: ((valid: boolean) => void) | null): boolean | 'pending' {
  if (key.algorithm === 'hmac-sha256') {
    const expected = createHmac('sha256', key.key).update(base, 'latin1').digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  const parameters = publicKeyOf(key);
  if (parameters === null) return false;
  const { digest, input } = parameters;
  const bytes = Buffer.from(base, 'latin1');
  if (done === null) return verify(digest, bytes, input, signature);
  verify(digest, bytes, input, signature, (error, valid) => done(error === null && valid));
  return 'pending';
}

interface PublicKeyParameters {
  readonly digest: string | null;
  readonly input: VerifyKeyObjectInput;
}

const made = new WeakMap<ConsumerSigningKey, PublicKeyParameters | null>();

function publicKeyOf(key: ConsumerSigningKey): PublicKeyParameters | null {
  let parameters = made.get(key);
  if (parameters === undefined) made.set(key, parameters = makePublicKey(key));
  return parameters;
}

function makePublicKey({ algorithm, key: der }: ConsumerSigningKey): PublicKeyParameters | null {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
  const type = key.asymmetricKeyType;
  switch (algorithm) {
    case 'ed25519': return type === 'ed25519' ? { digest: null, input: { key } } : null;
    case 'ecdsa-p256-sha256': return type === 'ec' ? { digest: 'sha256', input: { key, dsaEncoding: 'ieee-p1363' } } : null;
    case 'rsa-v1_5-sha256': return type === 'rsa' ? { digest: 'sha256', input: { key, padding: constants.RSA_PKCS1_PADDING } } : null;
    case 'rsa-pss-sha512': return type === 'rsa' ? { digest: 'sha512', input: { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 } } : null;
    default: return null;
  }
}
