import { allocateText, type TextBuffer } from './byte-text.ts';
import type { HeadArena } from './head-arena.ts';
import { HeadScanner, scanComplete, scanIncomplete, scanTooLarge, type HeadKind, type HeadLimits, type ScanVerdict } from './head-scanner.ts';
import { MessageHead } from './message-head.ts';
import { takeRequestHead, takeResponseHead, takeTrailers } from './received-head.ts';

/**
 * Reads one kind of head from a connection, however it is cut into segments. A head that arrives whole is scanned where it is; only
 * an incomplete one is kept, in a buffer of at most the limit. Between heads a reader holds nothing.
 */
export class HeadReader {
  /** The head, after `scanComplete`; the reader keeps no reference after `take`. */
  head: MessageHead | null = null;
  /** Position in the input behind the head, after `scanComplete`. */
  used = 0;

  readonly #kind: HeadKind;
  readonly #spare: SpareScanner;
  readonly #arena: HeadArena;
  #limits: HeadLimits;
  /** After `scanTooLarge`: whether it was the number of fields rather than their bytes. */
  tooManyFields = false;
  #partial: PartialHead | null = null;

  constructor(kind: HeadKind, arena: HeadArena, limits: HeadLimits) {
    this.#kind = kind;
    this.#spare = spares[kind];
    this.#arena = arena;
    this.#limits = limits;
  }

  /** A head has begun and is not complete. */
  get waiting(): boolean {
    return this.#partial !== null;
  }

  setLimits(limits: HeadLimits): void {
    this.#limits = limits;
  }

  /** Forgets an incomplete head. */
  clear(): void {
    this.#partial = null;
    this.head = null;
  }

  take(): MessageHead {
    const { head } = this;
    if (head === null) throw new Error('no head was read');
    this.head = null;
    return head;
  }

  /** Takes what belongs to the head from `bytes[at, to)`. */
  read(bytes: Uint8Array, at: number, to: number): ScanVerdict {
    if (this.#partial !== null) return this.#readOn(this.#partial, bytes, at, to);
    const spare = this.#spare;
    const scanner = (spare.scanner ??= new HeadScanner(this.#kind));
    scanner.reset();
    const verdict = scanner.scan(bytes, at, to, this.#limits);
    if (verdict === scanIncomplete) {
      spare.scanner = null;
      this.#partial = new PartialHead(scanner, bytes, at, to);
      return verdict;
    }
    return verdict === scanComplete ? this.#finish(scanner, bytes, at, at + scanner.length) : this.#notRead(scanner, verdict);
  }

  #readOn(partial: PartialHead, bytes: Uint8Array, at: number, to: number): ScanVerdict {
    const before = partial.length;
    const room = this.#limits.bytesMax - before;
    if (room <= 0) return scanTooLarge;
    const end = Math.min(to, at + room);
    if (!partial.append(bytes, at, end) && partial.length < this.#limits.bytesMax) return scanIncomplete;
    const { scanner } = partial;
    const verdict = scanner.scan(partial.bytes, 0, partial.length, this.#limits);
    if (verdict === scanIncomplete) return verdict;
    this.#partial = null;
    this.#spare.scanner = scanner;
    return verdict === scanComplete ? this.#finish(scanner, partial.bytes, 0, at + scanner.length - before) : this.#notRead(scanner, verdict);
  }

  #notRead(scanner: HeadScanner, verdict: ScanVerdict): ScanVerdict {
    this.tooManyFields = verdict === scanTooLarge && scanner.rowCount >= this.#limits.fieldsMax;
    return verdict;
  }

  #finish(scanner: HeadScanner, bytes: Uint8Array, from: number, used: number): ScanVerdict {
    const head = new MessageHead();
    const verdict =
      this.#kind === 'request' ? takeRequestHead(scanner, bytes, from, this.#arena, head)
      : this.#kind === 'response' ? takeResponseHead(scanner, bytes, from, this.#arena, head)
      : takeTrailers(scanner, bytes, from, this.#arena, head);
    if (verdict === scanComplete) {
      this.head = head;
      this.used = used;
    }
    return verdict;
  }
}

/** An incomplete head: its scanner, which knows the finished lines, and the bytes so far. */
class PartialHead {
  readonly scanner: HeadScanner;
  bytes: TextBuffer;
  length: number;
  #scannedTo: number;

  constructor(scanner: HeadScanner, bytes: Uint8Array, at: number, to: number) {
    this.scanner = scanner;
    this.length = to - at;
    this.bytes = allocateText(Math.max(partialBytes, this.length * 2));
    this.bytes.set(bytes.subarray(at, to));
    this.#scannedTo = this.length;
  }

  /**
   * Whether it is time to scan: a line has ended, or the open line is short or has doubled. So a long line that comes byte by byte
   * costs time linear in its length.
   */
  append(bytes: Uint8Array, at: number, to: number): boolean {
    const added = to - at;
    if (this.length + added > this.bytes.length) {
      const larger = allocateText((this.length + added) * 2);
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    this.bytes.set(bytes.subarray(at, to), this.length);
    const from = this.length;
    this.length += added;
    const lineLength = this.length - this.scanner.lineAt;
    const due = lineLength <= shortLine || this.length >= this.#scannedTo * 2 || this.bytes.subarray(from, this.length).includes(10);
    if (due) this.#scannedTo = this.length;
    return due;
  }
}

const partialBytes = 512;
const shortLine = 256;
/** One idle scanner of each kind per thread: a scanner is busy only within a call, or belongs to an incomplete head. */
const spares: Readonly<Record<HeadKind, SpareScanner>> = { request: { scanner: null }, response: { scanner: null }, trailers: { scanner: null } };

interface SpareScanner {
  scanner: HeadScanner | null;
}
