import { close, fstat, mkdir, open, rename, write } from 'node:fs';
import path from 'node:path';
import type { LogFile } from '@remora/policy-kit/runtime-kind';

/**
 * A log file of one data thread: appended to, renamed to `name.1` (and what was `name.1` to `name.2` …) when it has reached its
 * size, created at the first line. Nothing here throws: what cannot be written is counted in `failedWrites` and lost, and
 * the file is opened anew for the next lines, so that a folder that comes back is used again.
 */
export class RotatingLogFile {
  failedWrites = 0;
  readonly #file: string;
  #target: LogFile;
  #descriptor: number | null = null;
  #size = 0;

  /** `folder` is made when it is missing. With several data threads each has a file of its own: `access.log`, `access.log-w1`. */
  constructor(folder: string, target: LogFile, worker = 0) {
    this.#file = path.join(folder, worker === 0 ? target.name : `${target.name}-w${worker}`);
    this.#target = target;
  }

  /** A newer snapshot may rotate the same file otherwise. */
  retarget(target: LogFile): void {
    this.#target = target;
  }

  /** Appends; one call at a time, the next after `done`, until which the bytes stay as they are. */
  append(lines: Buffer, done: () => void): void {
    this.#ready((descriptor) => {
      if (descriptor === null) {
        this.failedWrites += 1;
        done();
        return;
      }
      this.#writeAll(descriptor, lines, 0, done);
    });
  }

  close(done: () => void = () => {}): void {
    const descriptor = this.#descriptor;
    this.#descriptor = null;
    if (descriptor === null) done();
    else close(descriptor, () => done());
  }

  #writeAll(descriptor: number, bytes: Buffer, from: number, done: () => void): void {
    write(descriptor, bytes, from, bytes.length - from, null, (error, written) => {
      if (error) {
        this.failedWrites += 1;
        this.close(done);
        return;
      }
      this.#size += written;
      if (from + written < bytes.length) this.#writeAll(descriptor, bytes, from + written, done);
      else if (this.#size >= this.#target.rotateBytes) this.close(() => this.#rotate(done));
      else done();
    });
  }

  #ready(use: (descriptor: number | null) => void): void {
    if (this.#descriptor !== null) {
      use(this.#descriptor);
      return;
    }
    mkdir(path.dirname(this.#file), { recursive: true }, () => {
      // A folder that cannot be made shows as a file that cannot be opened.
      open(this.#file, 'a', 0o640, (error, descriptor) => {
        if (error) {
          use(null);
          return;
        }
        fstat(descriptor, (_error, stats) => {
          this.#size = stats?.size ?? 0;
          this.#descriptor = descriptor;
          use(descriptor);
        });
      });
    });
  }

  /** The oldest is overwritten by the one before it. With `keep: 0` the file begins anew. */
  #rotate(done: () => void): void {
    const { keep } = this.#target;
    const shift = (n: number): void => {
      const from = n === 0 ? this.#file : `${this.#file}.${n}`;
      // A number that is not there yet is no failure.
      rename(from, `${this.#file}.${n + 1}`, () => (n === 0 ? done() : shift(n - 1)));
    };
    if (keep > 0) shift(keep - 1);
    else open(this.#file, 'w', 0o640, (error, descriptor) => (error ? done() : close(descriptor, () => done())));
  }
}
