/**
 * How tokens are signed (RFC 7518 section 3, RFC 8037, RFC 9864). An algorithm belongs to exactly one type of key: which one a token is verified with never
 * follows from what the token says alone (RFC 8725 section 3.1).
 */
export interface SignatureAlgorithm {
  readonly name: string;
  readonly keyType: 'EC' | 'RSA' | 'OKP' | 'oct';
  /** '' where the type of key has none. */
  readonly curve: string;
  /** As node:crypto names it; '' where the algorithm has its own. */
  readonly hash: string;
  /** Of a signature; 0: as long as the modulus of the key. */
  readonly signatureBytes: number;
  /** RSASSA-PSS, with a salt as long as the hash. */
  readonly pss: boolean;
}

export const signatureAlgorithms: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ec('ES256', 'P-256', 'sha256', 64), ec('ES384', 'P-384', 'sha384', 96), ec('ES512', 'P-521', 'sha512', 132),
  rsa('RS256', 'sha256', false), rsa('RS384', 'sha384', false), rsa('RS512', 'sha512', false),
  rsa('PS256', 'sha256', true), rsa('PS384', 'sha384', true), rsa('PS512', 'sha512', true),
  okp('EdDSA'), okp('Ed25519'),
  hmac('HS256', 'sha256', 32), hmac('HS384', 'sha384', 48), hmac('HS512', 'sha512', 64),
].map((algorithm) => [algorithm.name, Object.freeze(algorithm)]));

/** Algorithms of public keys: what issuers may sign with unless told. */
export const publicKeyAlgorithms: readonly string[] = Object.freeze([...signatureAlgorithms.values()].filter(({ keyType }) => keyType !== 'oct').map(({ name }) => name));

/** Algorithms of shared secrets: for tokens of Consumers only. */
export const sharedKeyAlgorithms: readonly string[] = Object.freeze(['HS256', 'HS384', 'HS512']);

function ec(name: string, curve: string, hash: string, signatureBytes: number): SignatureAlgorithm {
  return { name, keyType: 'EC', curve, hash, signatureBytes, pss: false };
}

function rsa(name: string, hash: string, pss: boolean): SignatureAlgorithm {
  return { name, keyType: 'RSA', curve: '', hash, signatureBytes: 0, pss };
}

function okp(name: string): SignatureAlgorithm {
  return { name, keyType: 'OKP', curve: 'Ed25519', hash: '', signatureBytes: 64, pss: false };
}

function hmac(name: string, hash: string, signatureBytes: number): SignatureAlgorithm {
  return { name, keyType: 'oct', curve: '', hash, signatureBytes, pss: false };
}
