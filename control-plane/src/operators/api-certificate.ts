import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { ProcessLog } from '../process-log.ts';
import { StartError } from '../start-error.ts';

/** What the API shows in its TLS handshakes. PEM. */
export interface ApiCertificateMaterial {
  readonly key: Buffer;
  readonly certificates: Buffer;
  readonly endsMs: number;
}

/** A certificate that may be replaced while the API serves. */
export interface ApiCertificate {
  readonly material: ApiCertificateMaterial;
  /** Why the newest one cannot be used, and the one before stays; '' where all is well. */
  readonly problem: string;
  subscribe(listener: (material: ApiCertificateMaterial) => void): { unsubscribe(): void };
  close(): void;
}

const checkEveryMs = 30_000;
const fileBytesMax = 1024 * 1024;

/** From files, which are looked at every 30 s. What cannot be used is logged, and changes nothing; at the start it throws StartError. */
export function certificateFromFiles(files: { readonly certificate: string; readonly key: string }, deps: { readonly clock: Clock; readonly timers: Timers; readonly log: ProcessLog }): ApiCertificate {
  return new FileCertificate(files, deps);
}

class FileCertificate implements ApiCertificate {
  readonly #files: { readonly certificate: string; readonly key: string };
  readonly #log: ProcessLog;
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #listeners = new Set<(material: ApiCertificateMaterial) => void>();
  #material: ApiCertificateMaterial;
  #problem = '';

  constructor(files: { readonly certificate: string; readonly key: string }, deps: { readonly clock: Clock; readonly timers: Timers; readonly log: ProcessLog }) {
    this.#files = files;
    this.#log = deps.log;
    this.#clock = deps.clock;
    const first = this.#read();
    if (typeof first === 'string') throw new StartError('refused', `the certificate of the API: ${first}`);
    this.#material = first;
    this.#timer = deps.timers.every(checkEveryMs, () => this.#reload());
  }

  get material(): ApiCertificateMaterial {
    return this.#material;
  }

  get problem(): string {
    return this.#problem;
  }

  subscribe(listener: (material: ApiCertificateMaterial) => void): { unsubscribe(): void } {
    this.#listeners.add(listener);
    return { unsubscribe: () => void this.#listeners.delete(listener) };
  }

  close(): void {
    this.#timer.cancel();
    this.#listeners.clear();
  }

  #reload(): void {
    const next = this.#read();
    if (typeof next === 'string') {
      // The two files may be replaced one after the other: it is a problem where it is one the next time too.
      if (next !== this.#problem) this.#log.error('the certificate of the API cannot be used; the one before stays', { problem: next });
      this.#problem = next;
      return;
    }
    this.#problem = '';
    if (next.certificates.equals(this.#material.certificates) && next.key.equals(this.#material.key)) return;
    this.#material = next;
    this.#log.info('the API has a new certificate', { ends: new Date(next.endsMs).toISOString() });
    for (const listener of this.#listeners) listener(next);
  }

  /** A sentence where it cannot be used. Nothing of the key is in it. */
  #read(): ApiCertificateMaterial | string {
    const { certificate, key } = this.#files;
    const [certificates, privateKey] = [readPem(certificate), readPem(key)];
    if (typeof certificates === 'string') return certificates;
    if (typeof privateKey === 'string') return privateKey;
    let leaf: X509Certificate;
    try {
      leaf = new X509Certificate(certificates);
    } catch {
      return `${certificate}: there is no certificate that can be read`;
    }
    try {
      if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) return `${key}: it is not the key of the first certificate in ${certificate}`;
    } catch {
      return `${key}: there is no private key that can be read without a passphrase`;
    }
    const endsMs = leaf.validToDate.getTime();
    if (endsMs <= this.#clock.wallMs()) return `${certificate}: it ended at ${leaf.validToDate.toISOString()}`;
    if (!leaf.subjectAltName) return `${certificate}: it names no host (subject alternative name), so that no client believes it`;
    return { key: privateKey, certificates, endsMs };
  }
}

function readPem(path: string): Buffer | string {
  try {
    if (statSync(path).size > fileBytesMax) return `${path}: larger than ${fileBytesMax} bytes`;
    return readFileSync(path);
  } catch (error) {
    return `${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`;
  }
}
