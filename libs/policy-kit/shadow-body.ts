import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { HeldBody, Sink } from './exchange.ts';
import { PassingSink } from './passing-sink.ts';

/** Looks at the beginning of a request body while it passes, for a filter in shadow: copies `bytesMax` of it and holds nothing back. `seen` is called once, unless the body breaks off before. */
export class ShadowBodySink extends PassingSink {
  readonly #bytesMax: number;
  readonly #seen: (body: HeldBody) => void;
  #copy: Buffer = Buffer.alloc(0);
  #length = 0;
  #over = false;

  constructor(next: Sink, bytesMax: number, seen: (body: HeldBody) => void) {
    super(next);
    this.#bytesMax = bytesMax;
    this.#seen = seen;
  }

  override data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (!this.#over) this.#look(bytes, at, to, end);
    return super.data(bytes, at, to, end);
  }

  override trailers(head: Head): void {
    if (!this.#over) this.#tell(true, head);
    super.trailers(head);
  }

  override reset(reason: Reason): void {
    this.#over = true;
    super.reset(reason);
  }

  #look(bytes: Uint8Array, at: number, to: number, end: boolean): void {
    const fits = Math.min(to - at, this.#bytesMax - this.#length);
    this.#reserve(fits);
    this.#copy.set(bytes.subarray(at, at + fits), this.#length);
    this.#length += fits;
    if (end || this.#length === this.#bytesMax) this.#tell(end && fits === to - at, null);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#copy.length) return;
    const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, Math.max(firstBytes, 2 * this.#copy.length, this.#length + bytes)));
    larger.set(this.#copy.subarray(0, this.#length));
    this.#copy = larger;
  }

  #tell(complete: boolean, trailers: Head | null): void {
    this.#over = true;
    const body = this.#copy.subarray(0, this.#length);
    this.#copy = noBytes;
    this.#seen({ length: body.length, complete, trailers, bytes: (max) => body.subarray(0, max) });
  }
}

const firstBytes = 1_024;
const noBytes = Buffer.alloc(0);
