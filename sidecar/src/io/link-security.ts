import type { X509Certificate } from 'node:crypto';
import type tls from 'node:tls';
import type { TextBuffer } from '@remora/http/byte-text';
import type { LinkOwner } from './link-owner.ts';
import type { OutputSlab, OutputSlabs } from './output-slabs.ts';
import { readIntoBuffer } from './read-into-buffer.ts';
import { verifyError } from './tls-socket.ts';

/** The TLS of a link: its socket, what a handshake settled, and what was written and is not encrypted yet. */
export class LinkSecurity {
  readonly socket: tls.TLSSocket;
  readonly #slabs: OutputSlabs;
  /** Slabs with regions that are not written yet, in order (exchange.md section 2). */
  #inFlight: OutputSlab[] = [];
  readonly #onWritten = (): void => {
    const slab = this.#inFlight.shift();
    if (slab !== undefined) this.#slabs.written(slab, true);
  };

  constructor(socket: tls.TLSSocket, slabs: OutputSlabs) {
    this.socket = socket;
    this.#slabs = slabs;
  }

  /** What ALPN chose, '' for none. */
  get protocol(): string {
    return this.socket.alpnProtocol || '';
  }

  /** `TLSv1.2` or `TLSv1.3`. */
  get version(): string {
    return this.socket.getProtocol() ?? '';
  }

  get resumed(): boolean {
    return this.socket.isSessionReused();
  }

  /** The certificate that the peer showed, also when it resumes; undefined where it showed none. */
  get peerCertificate(): X509Certificate | undefined {
    return this.socket.getPeerX509Certificate();
  }

  /** What the peer showed between its own certificate and a root; none where it resumes. */
  get peerIntermediates(): X509Certificate[] {
    const found: X509Certificate[] = [];
    for (let next = this.peerCertificate?.issuerCertificate; next !== undefined && found.length < intermediatesMax; next = next.issuerCertificate) found.push(next);
    return found;
  }

  /** Why the peer's chain is not trusted, as OpenSSL's code; '' where it is. */
  get peerProblem(): string {
    return verifyError(this.socket);
  }

  /** Has what is read go to `user`: by way of `buffer` where that can be done. */
  readInto(buffer: TextBuffer, user: SecuredLink): void {
    if (readIntoBuffer(this.socket, buffer, (length) => user.deliver(buffer, length))) return;
    this.socket.on('data', (bytes: TextBuffer) => user.deliver(bytes, bytes.length));
  }

  /**
   * Encrypts and writes a region of `slab`, which stays as it is until that is done: TLS reads from it later. False: more is queued than
   * the kernel takes.
   */
  write(slab: OutputSlab, piece: Uint8Array): boolean {
    this.#inFlight.push(slab);
    return this.socket.write(piece, this.#onWritten);
  }

  /** The link has closed: what was not written never will be. */
  release(): void {
    const unwritten = this.#inFlight;
    this.#inFlight = [];
    for (const slab of unwritten) this.#slabs.written(slab, false);
  }
}

const intermediatesMax = 8;

/** What the parts of a link that deal with TLS ask of it. */
export interface SecuredLink {
  readonly security: LinkSecurity | null;
  /** Bytes were read and decrypted; they are borrowed for the call. */
  deliver(bytes: TextBuffer, length: number): void;
  /** Runs a callback of the owner as a turn. */
  tell(callback: (owner: LinkOwner) => void): void;
}
