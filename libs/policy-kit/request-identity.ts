import type { Json } from '@remora/core/canonical-json';
import type { Answer } from './exchange.ts';

/** An API client as its Consumer document says. Frozen, shared by the requests of one configuration. */
export interface ConsumerFacts {
  readonly name: string;
  /** Sorted. */
  readonly groups: readonly string[];
  /** '' without one. */
  readonly plan: string;
}

/** Kinds that find credentials, as `authentication` names them. `mesh` is a caller's certificate of the mesh. */
export const credentialKinds = ['jwt', 'tokenIntrospection', 'apiKey', 'basicAuth', 'hmac', 'clientCertificate', 'externalAuth', 'oidcLogin', 'mesh'] as const;
export type CredentialKind = (typeof credentialKinds)[number];

/** What one credential showed. */
export interface FoundCredential {
  /** Null: valid, but no Consumer has it. */
  readonly consumer: ConsumerFacts | null;
  /** Who it is in the words of whoever vouches for it: `sub`, key id, user name, subject of a certificate; for logs. No secret. */
  readonly subject: string;
  /** '' where nobody else vouches. */
  readonly issuer: string;
  /** Null where the kind has none. Never an object with a prototype. */
  readonly claims: Readonly<Record<string, Json>> | null;
  readonly scopes: readonly string[];
}

/**
 * Who a request is from, as far as its credentials showed. The kinds that find credentials write it and refuse nothing by themselves; `authentication` decides
 * over it; authorization, limits, headers, logs and variables read it. One per exchange, made by the first kind that runs on it.
 */
export class RequestIdentity {
  /** Bits (1 << index in `credentialKinds`) of the kinds that looked. */
  looked = 0;
  /** Bits of the kinds whose credential was there and valid. */
  proved = 0;
  /** The refusal of the first credential that was there and not valid; it stands whatever others find. */
  failure: Answer | null = null;
  failedKind: CredentialKind | '' = '';
  /** Of the first kind that proved one, in the order of the pipeline; a later kind adds what is missing. */
  consumer: ConsumerFacts | null = null;
  subject = '';
  issuer = '';
  claims: Readonly<Record<string, Json>> | null = null;
  scopes: readonly string[] = noScopes;
  /** What a client that showed nothing is told: values of `www-authenticate`, in the order of the pipeline. */
  challenges: string[] | null = null;
  /** Answers a client that showed nothing instead of 401: `oidcLogin` sends browsers to the issuer. */
  invitation: Answer | null = null;

  looks(kind: CredentialKind): void {
    this.looked |= credentialBit(kind);
  }

  finds(kind: CredentialKind, found: FoundCredential): void {
    const first = this.proved === 0;
    this.proved |= credentialBit(kind);
    this.consumer ??= found.consumer;
    this.claims ??= found.claims;
    if (first) {
      this.subject = found.subject;
      this.issuer = found.issuer;
    }
    if (found.scopes.length > 0) this.scopes = this.scopes.length === 0 ? found.scopes : [...this.scopes, ...found.scopes];
  }

  fails(kind: CredentialKind, refusal: Answer): void {
    if (this.failure !== null) return;
    this.failure = refusal;
    this.failedKind = kind;
  }

  challenge(value: string): void {
    (this.challenges ??= []).push(value);
  }

  /** The same, to be written without this one changing. */
  copy(): RequestIdentity {
    const made = new RequestIdentity();
    made.add(this);
    return made;
  }

  /** Takes over what the other knows and this one does not. */
  add(other: RequestIdentity): void {
    if (this.proved === 0) {
      this.subject = other.subject;
      this.issuer = other.issuer;
    }
    this.looked |= other.looked;
    this.proved |= other.proved;
    if (other.failure !== null && other.failedKind !== '') this.fails(other.failedKind, other.failure);
    this.consumer ??= other.consumer;
    this.claims ??= other.claims;
    this.scopes = this.scopes.length === 0 ? other.scopes : [...new Set([...this.scopes, ...other.scopes])];
    if (other.challenges !== null) this.challenges = [...new Set([...this.challenges ?? [], ...other.challenges])];
    this.invitation ??= other.invitation;
  }
}

/** The bit of a kind in `looked` and `proved`. */
export function credentialBit(kind: CredentialKind): number {
  return 1 << credentialKinds.indexOf(kind);
}

const noScopes: readonly string[] = Object.freeze([]);
