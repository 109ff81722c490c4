import { X509Certificate, createHash } from 'node:crypto';
import type { GatewayListener, ListenerTls } from '@remora/snapshot/snapshot';
import { certificateNames } from './certificate-names.ts';
import { cipherList } from '@remora/core/cipher-suites';
import type { TlsMaterial } from './tls-material.ts';

/** A certificate with its key, as they were read last. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
  /** `ec`, `rsa`, `ed25519` …: one of each can stand side by side, the client's algorithms choose. */
  readonly keyType: string;
  readonly names: readonly string[];
}

/**
 * How one listener does TLS, with the certificates that it shows: fixed for one content of settings and files. Certificates that are
 * not there or cannot be read are left out (the control thread has said so); a policy may be left with none.
 */
export class ServerTlsPolicy {
  readonly settings: ListenerTls;
  readonly clientCas: readonly string[];
  /** A file of client authorities is missing: nobody can be believed. */
  readonly clientCasMissing: boolean;
  readonly ciphers: string;
  /** SHA-256 (hex) over everything that decides whether a session may be resumed: settings, certificates, authorities. */
  readonly digest: string;
  readonly #certificates: readonly ServerCertificate[];
  /** By host or `*.suffix`. */
  readonly #byName = new Map<string, readonly ServerCertificate[]>();
  readonly #fallback: readonly ServerCertificate[];

  constructor(listener: GatewayListener, settings: ListenerTls, material: TlsMaterial) {
    this.settings = settings;
    const cas = settings.clientCaFiles.map((file) => material.files.get(file));
    this.clientCas = cas.filter((pem) => pem !== undefined);
    this.clientCasMissing = this.clientCas.length < settings.clientCaFiles.length;
    this.ciphers = cipherList(settings.ciphers);
    this.#certificates = settings.certificates.flatMap(({ certFile, keyFile }) => readCertificate(material.files.get(certFile), material.files.get(keyFile)));
    this.#index();
    const [first] = this.#certificates;
    this.#fallback = first === undefined ? [] : (this.#byName.get(first.names[0] ?? '') ?? [first]);
    this.digest = createHash('sha256')
      .update(JSON.stringify([listener.name, settings, this.clientCas, this.#certificates.map(({ cert }) => cert)]))
      .digest('hex');
  }

  #index(): void {
    for (const certificate of this.#certificates) {
      for (const name of certificate.names) {
        const known = this.#byName.get(name) ?? [];
        // One of each type of key: of two alike the first in the document is shown.
        if (!known.some(({ keyType }) => keyType === certificate.keyType)) this.#byName.set(name, [...known, certificate]);
      }
    }
  }

  /** Whether a certificate names the host. */
  knows(host: string): boolean {
    return this.patternFor(host) !== null;
  }

  /** The name in a certificate that stands for the host: itself, or `*.suffix`; null where none does. */
  patternFor(host: string): string | null {
    if (this.#byName.has(host)) return host;
    const dot = host.indexOf('.');
    const wildcard = dot < 0 ? '' : `*${host.slice(dot)}`;
    return this.#byName.has(wildcard) ? wildcard : null;
  }

  /** What is shown to a client that asks for the host: an exact name before a wildcard; the first certificate where none fits or '' was asked. */
  certificatesFor(host: string): readonly ServerCertificate[] {
    return this.#byName.get(this.patternFor(host) ?? '') ?? this.#fallback;
  }
}

function readCertificate(cert: string | undefined, key: string | undefined): ServerCertificate[] {
  if (cert === undefined || key === undefined) return [];
  try {
    const leaf = new X509Certificate(cert);
    const names = certificateNames(leaf);
    return typeof names === 'string' ? [] : [{ cert, key, keyType: leaf.publicKey.asymmetricKeyType ?? '', names: names.dns }];
  } catch {
    // The control thread names what cannot be read.
    return [];
  }
}
