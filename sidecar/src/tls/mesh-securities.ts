import { constants } from 'node:crypto';
import tls from 'node:tls';
import type { Clock } from '@remora/core/clock';
import { WheelNode, type TimerWheels } from '../io/timer-wheel.ts';
import type { MeshIdentity } from './mesh-identity.ts';
import { MeshSecurity } from './mesh-security.ts';
import { meshCiphers } from './mesh-server.ts';

export interface MeshSecuritiesDeps {
  readonly identity: MeshIdentity;
  readonly count: (name: string) => void;
  readonly clock: Clock;
  readonly wheels: TimerWheels;
  /** Connections must be chosen anew. */
  readonly onMoved: () => void;
}

/** How services whose instances announce mTLS are connected, on one data thread: one object for each service that was asked for, as many as documents name. */
export class MeshSecurities extends WheelNode {
  readonly #deps: MeshSecuritiesDeps;
  readonly #known = new Map<string, MeshSecurity>();
  /** Of the identity: by which connections were chosen, and by which the context was made. */
  #chosenBy = -1;
  #madeBy = -1;
  #context: tls.SecureContext | null = null;

  constructor(deps: MeshSecuritiesDeps) {
    super();
    this.#deps = deps;
  }

  /** Null: there is no identity of our own. What announces mTLS is then connected in plaintext, which it takes or refuses. */
  for(service: string): MeshSecurity | null {
    const { identity, clock, count, wheels } = this.#deps;
    if (identity.own === null) return null;
    const known = this.#known.get(service);
    if (known !== undefined) return known;
    const made = new MeshSecurity(service, { identity, clock, count, context: () => this.#contextNow() });
    this.#known.set(service, made);
    if (!wheels.isArmed(this)) wheels.arm(this, lookEveryMs);
    return made;
  }

  /** Identity, roots or revocations have changed, or time has passed. */
  refresh(): void {
    const { version } = this.#deps.identity;
    let moved = this.#chosenBy !== version;
    this.#chosenBy = version;
    for (const security of this.#known.values()) if (security.refresh()) moved = true;
    if (moved) this.#deps.onMoved();
  }

  /** Certificates of peers end, and nobody tells. */
  fire(): void {
    this.refresh();
    this.#deps.wheels.arm(this, lookEveryMs);
  }

  close(): void {
    this.#deps.wheels.cancel(this);
  }

  #contextNow(): tls.SecureContext | null {
    const { identity, clock } = this.#deps;
    if (!identity.usable(clock.wallMs())) return null;
    if (identity.version !== this.#madeBy) {
      this.#madeBy = identity.version;
      this.#context = this.#makeContext();
    }
    return this.#context;
  }

  #makeContext(): tls.SecureContext | null {
    const { own } = this.#deps.identity;
    if (own === null) return null;
    try {
      return tls.createSecureContext({
        cert: own.chain, key: own.key, ca: this.#deps.identity.roots([]), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ciphers: meshCiphers, secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      });
    } catch {
      this.#deps.count('upstreamTls_context-failed');
      return null;
    }
  }
}

const lookEveryMs = 60_000;
