import { constants, createHash } from 'node:crypto';
import tls from 'node:tls';
import type { Clock } from '@remora/core/clock';
import type { GatewayListener, ListenerTls } from '@remora/snapshot/snapshot';
import { ServerTlsPolicy } from './server-tls-policy.ts';
import { ticketKeys } from './ticket-keys.ts';
import type { TlsMaterialStore } from './tls-material.ts';

/**
 * The SecureContexts of a data thread: one for each listener, policy and host, because sessions must not be resumed across them. Built when
 * first asked for (0.6 ms, 26 KiB), kept while they are used: at most 512.
 */
export class ServerContexts {
  readonly #store: TlsMaterialStore;
  readonly #count: (name: string) => void;
  /** By listener object: the decoder answers the same one as long as nothing changes. */
  readonly #policies = new WeakMap<GatewayListener, KeptPolicy>();
  /** In the order of their last use. */
  readonly #contexts = new Map<string, tls.SecureContext>();
  readonly #clock: Clock;
  /** Contexts for hosts of wildcards, built since `#secondFrom`. */
  #built = 0;
  #secondFrom = -Infinity;

  constructor(store: TlsMaterialStore, clock: Clock, count: (name: string) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#count = count;
  }

  /** Contexts that are kept. */
  get size(): number {
    return this.#contexts.size;
  }

  /** How the listener does TLS now. */
  policy(listener: GatewayListener, settings: ListenerTls): ServerTlsPolicy {
    const { version, current } = this.#store;
    const kept = this.#policies.get(listener);
    if (kept?.version === version) return kept.policy;
    const policy = new ServerTlsPolicy(listener, settings, current);
    this.#policies.set(listener, { version, policy });
    return policy;
  }

  /**
   * '' stands for a client that asks for no host. Null where the policy has no usable certificate, or does not know whom to believe.
   * Hosts that no certificate names share one context, without tickets: inventing names costs nothing and crosses nothing. So do hosts of
   * a wildcard while more new ones come than 100 in a second.
   */
  context(policy: ServerTlsPolicy, host: string): tls.SecureContext | null {
    const pattern = policy.patternFor(host);
    const ownKey = `${policy.digest}/${this.#store.version}/${host}`;
    if (host === '' || pattern !== null) {
      const known = this.#find(ownKey);
      if (known !== null) return known;
      if (pattern === host || host === '' || this.#mayBuild()) return this.#keep(ownKey, this.#make(policy, host, true));
    }
    const sharedKey = `${policy.digest}/${this.#store.version}/shared/${pattern ?? ''}`;
    return this.#find(sharedKey) ?? this.#keep(sharedKey, this.#make(policy, host, false));
  }

  #find(key: string): tls.SecureContext | null {
    const known = this.#contexts.get(key);
    if (known === undefined) return null;
    this.#contexts.delete(key);
    this.#contexts.set(key, known);
    return known;
  }

  #keep(key: string, made: tls.SecureContext | null): tls.SecureContext | null {
    if (made === null) return null;
    this.#count('tls_context-built');
    this.#contexts.set(key, made);
    if (this.#contexts.size > contextsMax) this.#contexts.delete(this.#contexts.keys().next().value as string);
    return made;
  }

  #mayBuild(): boolean {
    const now = this.#clock.monotonicMs();
    if (now - this.#secondFrom >= 1000) {
      this.#secondFrom = now;
      this.#built = 0;
    }
    return ++this.#built <= buildsPerSecond;
  }

  #make(policy: ServerTlsPolicy, host: string, tickets: boolean): tls.SecureContext | null {
    const certificates = policy.certificatesFor(host);
    if (certificates.length === 0 || policy.clientCasMissing) return null;
    const { settings, clientCas, ciphers, digest } = policy;
    try {
      return tls.createSecureContext({
        cert: certificates.map(({ cert }) => cert),
        key: certificates.map(({ key }) => key),
        // An empty list, so that Node does not load the roots of the world for a listener that asks for no certificates.
        ca: [...clientCas],
        minVersion: settings.minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
        maxVersion: 'TLSv1.3',
        ciphers,
        // Renegotiation lets a client make us work again and again for free.
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (tickets ? 0 : constants.SSL_OP_NO_TICKET),
        ticketKeys: ticketKeys(this.#store.current.ticketSecret, digest, host),
        sessionIdContext: createHash('sha256').update(`${digest}/${host}`).digest('hex').slice(0, 32),
        sessionTimeout: ticketLifetimeSeconds,
      });
    } catch {
      this.#count('tls_context-failed');
      return null;
    }
  }
}

interface KeptPolicy {
  readonly version: number;
  readonly policy: ServerTlsPolicy;
}

const contextsMax = 512;
/** A twentieth of a thread. */
const buildsPerSecond = 100;
const ticketLifetimeSeconds = 2 * 60 * 60;
