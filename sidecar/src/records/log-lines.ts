/** Where access-log lines end up: takes whole lines, calls back when it can take more; `false` where they were lost. */
export type LogWriter = (lines: string, done: (written?: boolean) => void) => void;

/**
 * Lines of the access log, gathered and written together: every `flushMs` or `flushBytes`, one write at a time. Behind a slow disk or pipe at most
 * `bufferMax` characters wait; further lines are dropped and counted, requests never wait.
 */
export class LogLines {
  dropped = 0;
  readonly #write: LogWriter;
  readonly #after: (delayMs: number, run: () => void) => void;
  #lines: string[] = [];
  #length = 0;
  #writing = false;
  #scheduled = false;

  constructor(write: LogWriter, after: (delayMs: number, run: () => void) => void) {
    this.#write = write;
    this.#after = after;
  }

  add(line: string): void {
    if (this.#length + line.length > bufferMax) {
      this.dropped++;
      return;
    }
    this.#lines.push(line);
    this.#length += line.length + 1;
    if (this.#length >= flushBytes) this.flush();
    else if (!this.#scheduled) this.#schedule();
  }

  flush(): void {
    if (this.#writing || this.#lines.length === 0) return;
    const text = `${this.#lines.join('\n')}\n`;
    const count = this.#lines.length;
    this.#lines = [];
    this.#length = 0;
    this.#writing = true;
    this.#write(text, (written = true) => {
      this.#writing = false;
      if (!written) this.dropped += count;
      if (this.#length >= flushBytes) this.flush();
      else if (this.#lines.length > 0 && !this.#scheduled) this.#schedule();
    });
  }

  #schedule(): void {
    this.#scheduled = true;
    this.#after(flushMs, () => {
      this.#scheduled = false;
      this.flush();
    });
  }
}

const flushMs = 100;
const flushBytes = 64 * 1024;
const bufferMax = 1024 * 1024;
