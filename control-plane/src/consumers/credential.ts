import type { JsonObject } from '@remora/core/canonical-json';
import { certificateMatches } from '@remora/policy-kit/consumer-credentials';
import type { CertificateMatch } from '@remora/policy-kit/consumer-credentials';

/** What every credential has. None of it is secret. */
interface CredentialBase {
  /** Unique over all consumers; never used again. */
  readonly id: string;
  readonly consumer: string;
  readonly createdMs: number;
  /** null: never. */
  readonly expiresMs: number | null;
  readonly author: string;
}

/** Of the key only a hash, and its first characters for people. */
export interface ApiKeyCredential extends CredentialBase {
  readonly kind: 'apiKey';
  readonly prefix: string;
  /** HMAC-SHA-256 under the lookup key, base64. */
  readonly digest: string;
}

export interface PasswordCredential extends CredentialBase {
  readonly kind: 'basic';
  readonly user: string;
  /** scrypt (RFC 7914); base64. */
  readonly salt: string;
  readonly hash: string;
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
}

/** Keys of signed requests (`hmac`) and of tokens (`jwt`). */
export interface SigningCredential extends CredentialBase {
  readonly kind: 'hmac' | 'jwt';
  readonly keyId: string;
  readonly algorithm: string;
  /** '' for requests. */
  readonly issuer: string;
  /** A shared secret, as the sealer keeps it; null for public keys. */
  readonly sealed: JsonObject | null;
  /** SubjectPublicKeyInfo as DER, base64; '' for shared secrets. */
  readonly publicKey: string;
}

export interface CertificateCredential extends CredentialBase {
  readonly kind: 'certificate';
  readonly match: CertificateMatch;
  readonly value: string;
}

export type Credential = ApiKeyCredential | PasswordCredential | SigningCredential | CertificateCredential;
export type CredentialKind = Credential['kind'];
export const credentialKinds = ['apiKey', 'basic', 'hmac', 'jwt', 'certificate'] as const satisfies readonly CredentialKind[];

/** What two credentials of a kind may not share; whoever shows it is one consumer. */
export function credentialKey(credential: Credential): string {
  switch (credential.kind) {
    case 'apiKey': return `apiKey\n${credential.digest}`;
    case 'basic': return `basic\n${credential.user}`;
    case 'hmac': return `hmac\n${credential.keyId}`;
    case 'jwt': return `jwt\n${credential.issuer}\n${credential.keyId}`;
    case 'certificate': return `certificate\n${credential.match}\n${credential.value}`;
  }
}

/** What a kept record says; null where it cannot be read: such a credential proves nothing. */
export function readCredential(id: string, record: JsonObject): Credential | null {
  const text = (name: string): string => (typeof record[name] === 'string' ? record[name] : '');
  const number = (name: string): number => (typeof record[name] === 'number' ? record[name] : Number.NaN);
  const expiresMs = record['expiresMs'] === null ? null : number('expiresMs');
  const base = { id, consumer: text('consumer'), createdMs: number('createdMs'), expiresMs, author: text('author') };
  if (base.consumer === '' || Number.isNaN(base.createdMs) || Number.isNaN(expiresMs ?? 0)) return null;
  const kind = text('kind');
  switch (kind) {
    case 'apiKey':
      return text('digest') === '' ? null : { ...base, kind: 'apiKey', prefix: text('prefix'), digest: text('digest') };
    case 'basic': {
      const [cost, blockSize, parallelization] = [number('cost'), number('blockSize'), number('parallelization')];
      if (text('user') === '' || text('hash') === '' || Number.isNaN(cost + blockSize + parallelization)) return null;
      return { ...base, kind: 'basic', user: text('user'), salt: text('salt'), hash: text('hash'), cost, blockSize, parallelization };
    }
    case 'hmac':
    case 'jwt': {
      const sealed = record['sealed'];
      return { ...base, kind, keyId: text('keyId'), algorithm: text('algorithm'), issuer: text('issuer'), publicKey: text('publicKey'), sealed: typeof sealed === 'object' && sealed !== null && !Array.isArray(sealed) ? (sealed as JsonObject) : null };
    }
    case 'certificate': {
      const match = certificateMatches.find((one) => one === record['match']);
      return match === undefined || text('value') === '' ? null : { ...base, kind: 'certificate', match, value: text('value') };
    }
    default:
      return null;
  }
}
