import { createHash, type X509Certificate } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '@remora/core/clock';
import { cipherList } from '@remora/core/cipher-suites';
import type { UpstreamTls } from '@remora/snapshot/snapshot';
import { connectTls } from '../io/connect-tls.ts';
import type { Link } from '../io/link.ts';
import type { LinkContext } from '../io/link-context.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import { checkPeerNames } from './check-peer-names.ts';
import { SessionMemory } from './session-memory.ts';
import { systemRoots } from './system-roots.ts';
import type { TlsMaterialStore } from './tls-material.ts';
import type { SecureAddress, UpstreamWay } from './upstream-way.ts';

export interface UpstreamSecurityDeps {
  readonly store: TlsMaterialStore;
  readonly count: (name: string) => void;
  readonly clock: Clock;
}

/** How the endpoints of one Service port are connected with TLS, on one data thread: those that are no sidecars. */
export class UpstreamSecurity implements UpstreamWay {
  readonly proves = false;
  readonly settings: UpstreamTls;
  readonly #store: TlsMaterialStore;
  readonly #count: (name: string) => void;
  readonly #clock: Clock;
  readonly #sessions = new SessionMemory();
  #version = -1;
  #key = '';
  /** null: files that it needs cannot be read. */
  #context: tls.SecureContext | null = null;

  constructor(settings: UpstreamTls, { store, count, clock }: UpstreamSecurityDeps) {
    this.settings = settings;
    this.#store = store;
    this.#count = count;
    this.#clock = clock;
  }

  get alpn(): readonly string[] {
    return this.settings.alpn;
  }

  /** Changes with settings and files: connections made under different keys are never mixed. */
  get key(): string {
    this.#refresh();
    return this.#key;
  }

  /** Opens a connection that must speak `protocol`, an ALPN name; '' offers all that are configured. `header` goes before TLS. */
  connect(address: SecureAddress, { protocol, header }: { readonly protocol: string; readonly header: Buffer | null }, links: LinkContext, owner: LinkOwner): Link {
    this.#refresh();
    const serverName = this.#serverName(address.host);
    const sessionKey = `${serverName}|${address.host}:${address.port}|${protocol}`;
    const kept = this.#sessions.take(sessionKey, this.#clock.wallMs());
    // A resumed connection shows no certificate: what it stands for was shown at the full handshake, and ends when that ends.
    let validToMs = kept?.validToMs ?? 0;
    return connectTls(address, {
      header,
      context: this.#context,
      serverName: net.isIP(serverName) === 0 ? serverName : '',
      protocols: protocol === '' ? this.settings.alpn : [protocol],
      required: protocol === 'h2' ? 'h2' : '',
      verifyChain: this.settings.verify === 'full',
      checkPeer: (certificate) => {
        validToMs = certificate.validToDate.getTime();
        return this.#checkPeer(certificate, serverName);
      },
      ...(kept && { session: kept.session }),
      onSession: (session) => this.#sessions.put(sessionKey, { session, validToMs }),
      onEnd: (outcome) => this.#count(`upstreamTls_${outcome}`),
    }, links, owner);
  }

  /** What is asked for and must be named: an address only where the endpoint is one and nothing else is configured. */
  #serverName(host: string): string {
    return this.settings.serverName === '' ? host.toLowerCase() : this.settings.serverName;
  }

  #checkPeer(certificate: X509Certificate, serverName: string): string {
    if (this.settings.verify === 'none') return '';
    return checkPeerNames(certificate, this.settings.acceptedNames.length > 0 ? this.settings.acceptedNames : [serverName]);
  }

  #refresh(): void {
    const { version, current } = this.#store;
    if (version === this.#version) return;
    this.#version = version;
    const { caFiles, clientCertificate } = this.settings;
    const files = [...caFiles, ...(clientCertificate === null ? [] : [clientCertificate.certFile, clientCertificate.keyFile])];
    const texts = files.map((file) => current.files.get(file));
    const key = createHash('sha256').update(JSON.stringify([this.settings, texts.map((text) => text ?? null)])).digest('hex').slice(0, 16);
    if (key === this.#key && this.#context !== null) return;
    this.#key = key;
    // What was agreed on with other authorities or another certificate is worth nothing now.
    this.#sessions.clear();
    this.#context = texts.includes(undefined) ? null : this.#makeContext(texts.slice(0, caFiles.length) as string[], texts.slice(caFiles.length) as string[]);
  }

  #makeContext(authorities: readonly string[], [cert, key]: readonly string[]): tls.SecureContext | null {
    const { settings } = this;
    try {
      return tls.createSecureContext({
        ...(authorities.length > 0 ? { ca: [...authorities] } : systemRoots()),
        ...(cert !== undefined && key !== undefined && { cert, key }),
        minVersion: settings.minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
        maxVersion: 'TLSv1.3',
        ciphers: cipherList(settings.ciphers),
      });
    } catch {
      this.#count('upstreamTls_context-failed');
      return null;
    }
  }
}
