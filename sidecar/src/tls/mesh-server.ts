import { constants, createHash } from 'node:crypto';
import tls from 'node:tls';
import type { LinkSecurity } from '../io/link-security.ts';
import type { MeshIdentity, PeerResult } from './mesh-identity.ts';
import { ticketKeys } from './ticket-keys.ts';
import type { TlsMaterialStore } from './tls-material.ts';

/** How inbound ports answer ClientHellos of the mesh, on one data thread: one context for one content of identity, roots, revocations and accepted trust domains. */
export class MeshServer {
  readonly identity: MeshIdentity;
  readonly #store: TlsMaterialStore;
  readonly #count: (name: string) => void;
  #key = '';
  #context: tls.SecureContext | null = null;

  constructor(identity: MeshIdentity, store: TlsMaterialStore, count: (name: string) => void) {
    this.identity = identity;
    this.#store = store;
    this.#count = count;
  }

  /** Null: there is no identity that can be used. */
  context(trustDomains: readonly string[], nowMs: number): tls.SecureContext | null {
    if (!this.identity.usable(nowMs)) return null;
    const key = `${this.identity.version}/${this.#store.version}/${trustDomains.join(' ')}`;
    if (key === this.#key) return this.#context;
    this.#key = key;
    this.#context = this.#make(trustDomains);
    return this.#context;
  }

  #make(trustDomains: readonly string[]): tls.SecureContext | null {
    const { own } = this.identity;
    if (own === null) return null;
    const digest = this.identity.digest(trustDomains);
    try {
      return tls.createSecureContext({
        cert: own.chain,
        key: own.key,
        ca: this.identity.roots(trustDomains),
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.3',
        ciphers: meshCiphers,
        honorCipherOrder: true,
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
        ticketKeys: ticketKeys(this.#store.current.ticketSecret, digest, 'mesh'),
        sessionIdContext: createHash('sha256').update(`${digest}/mesh`).digest('hex').slice(0, 32),
        sessionTimeout: ticketLifetimeSeconds,
      });
    } catch {
      this.#count('tls_context-failed');
      return null;
    }
  }

  /** Who came, once the handshake is done; null: somebody without a certificate. */
  peerOf(security: LinkSecurity, trustDomains: readonly string[], nowMs: number): PeerResult | null {
    const certificate = security.peerCertificate;
    if (certificate === undefined) return null;
    const { resumed } = security;
    const question = { certificate, intermediates: resumed ? [] : security.peerIntermediates, purpose: 'client', nowMs, trustDomains } as const;
    const result = this.identity.verify(question);
    // A resumed session shows no intermediate. It was made under the same roots: its tickets are worth nothing under others.
    return resumed && !result.ok && result.code === 'certificate-untrusted' && security.peerProblem === '' ? this.identity.verifyAlone(question) : result;
  }
}

/** TLS 1.3 by OpenSSL's own list; below, forward secrecy and authenticated encryption with ECDSA, as all certificates of the mesh are. */
export const meshCiphers = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305';
const ticketLifetimeSeconds = 2 * 60 * 60;
