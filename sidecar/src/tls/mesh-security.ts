import { createHash } from 'node:crypto';
import tls from 'node:tls';
import type { Clock } from '@remora/core/clock';
import { connectTls } from '../io/connect-tls.ts';
import type { Link } from '../io/link.ts';
import type { LinkContext } from '../io/link-context.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import type { MeshIdentity, MeshPeer } from './mesh-identity.ts';
import { SessionMemory, type KeptSession } from './session-memory.ts';
import type { SecureAddress, UpstreamWay } from './upstream-way.ts';

export interface MeshSecurityDeps {
  readonly identity: MeshIdentity;
  /** The context of the thread: the same for all services. */
  readonly context: () => tls.SecureContext | null;
  readonly count: (name: string) => void;
  readonly clock: Clock;
}

/**
 * How the instances of one service that announce mTLS are connected, on one data thread: with our certificate, and by theirs, which must be for the service
 * and nothing else. Sessions are resumed under the same identity, roots and revocations only.
 */
export class MeshSecurity implements UpstreamWay {
  readonly alpn: readonly string[] = [];
  readonly proves = true;
  readonly service: string;
  readonly #deps: MeshSecurityDeps;
  readonly #sessions = new SessionMemory<MeshSession>();
  /** Who is connected, to be looked at when something is revoked or ends. */
  readonly #peers = new Map<Link, MeshPeer>();
  #key = '';
  #digest = '';
  /** Connections made before it moved take no new calls. */
  #turn = 0;

  constructor(service: string, deps: MeshSecurityDeps) {
    this.service = service;
    this.#deps = deps;
    this.refresh();
  }

  /** With the identity (by which it was renewed), roots and revocations: connections under another one serve out what they carry. */
  get key(): string {
    return this.#key;
  }

  /** Facts have changed, or time has passed. Whoever counts no more is cut off; who is about to end gets no new calls. True: the key moved. */
  refresh(): boolean {
    const { identity, clock } = this.#deps;
    const nowMs = clock.wallMs();
    const digest = identity.digest([]);
    const changed = digest !== this.#digest;
    if (changed) {
      this.#digest = digest;
      // What was agreed on under other roots or revocations is worth nothing now.
      this.#sessions.clear();
    }
    let ending = false;
    for (const [link, peer] of this.#peers) {
      if (link.closed) this.#peers.delete(link);
      else if (changed && !identity.stillGood(peer, 'server', Math.min(nowMs, peer.endsMs - 1), [])) this.#cut(link);
      else if (peer.endsMs - nowMs < endingMs) {
        ending = true;
        this.#peers.delete(link);
      }
    }
    if (ending) this.#turn++;
    const key = createHash('sha256').update(`${this.service}\n${identity.own?.fingerprint ?? ''}\n${identity.bundleDigest}\n${this.#turn}`).digest('hex').slice(0, 16);
    const moved = key !== this.#key;
    this.#key = key;
    return moved;
  }

  #cut(link: Link): void {
    this.#peers.delete(link);
    this.#deps.count('upstreamTls_revoked');
    link.destroy();
  }

  connect(address: SecureAddress, { protocol, header }: { readonly protocol: string; readonly header: Buffer | null }, links: LinkContext, owner: LinkOwner): Link {
    const { identity, clock, count } = this.#deps;
    const name = protocol === '' ? tcpProtocol : protocol;
    const sessionKey = `${address.host}:${address.port}|${name}`;
    const kept = this.#sessions.take(sessionKey, clock.wallMs());
    // A resumed connection shows who was verified when its session began.
    let peer: MeshPeer | null = kept?.peer ?? null;
    const link = connectTls(address, {
      header,
      context: this.#deps.context(),
      serverName: '',
      protocols: [name],
      required: name,
      verifyChain: true,
      checkPeer: (certificate, intermediates) => {
        const result = identity.verify({ certificate, intermediates, purpose: 'server', nowMs: clock.wallMs(), trustDomains: [] });
        if (!result.ok) return result.problem;
        if (result.peer.spiffeId !== this.expected) return `it is of ${result.peer.spiffeId}, wanted was ${this.expected}`;
        peer = result.peer;
        return '';
      },
      ...(kept && { session: kept.session }),
      onSession: (session) => {
        if (peer !== null) this.#sessions.put(sessionKey, { session, validToMs: peer.endsMs, peer });
      },
      onEnd: (outcome) => {
        count(`upstreamTls_${outcome}`);
        if (outcome !== 'failed' && peer !== null) this.#remember(link, peer);
      },
    }, links, owner);
    return link;
  }

  /** The one id that instances of the service have. */
  get expected(): string {
    return `spiffe://${this.#deps.identity.own?.trustDomain ?? ''}/service/${this.service}`;
  }

  #remember(link: Link, peer: MeshPeer): void {
    if (this.#peers.size >= this.#sweepAt) {
      for (const known of this.#peers.keys()) if (known.closed) this.#peers.delete(known);
      this.#sweepAt = Math.max(sweepAtLeast, this.#peers.size * 2);
    }
    this.#peers.set(link, peer);
  }

  /** Connections that are closed leave the list now and then: it is at most twice as long as there are open ones. */
  #sweepAt = sweepAtLeast;
}

interface MeshSession extends KeptSession {
  readonly peer: MeshPeer;
}

/** What mTLS carries to ports that carry TCP: by this name it is told from the app's own TLS. */
export const tcpProtocol = 'remora-tcp';
/** Connections to a peer whose certificate ends within this time take no new calls. */
const endingMs = 10 * 60_000;
const sweepAtLeast = 64;
