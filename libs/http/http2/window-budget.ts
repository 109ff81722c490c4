/**
 * What windows of HTTP/2 may be beyond their usual size, all sessions that share it taken together: bytes that peers could make us hold and otherwise
 * could not. One for each data thread.
 */
export class WindowBudget {
  readonly bytesMax: number;
  /** Taken now, and the most there ever was. */
  used = 0;
  peak = 0;
  readonly #count: (event: WindowEvent) => void;

  /** `count` hears of windows that grew, or could not because nothing was left. */
  constructor(bytesMax: number, count: (event: WindowEvent) => void = () => {}) {
    this.bytesMax = bytesMax;
    this.#count = count;
  }

  /** False: so much is not left. */
  take(bytes: number): boolean {
    if (this.used + bytes > this.bytesMax) {
      this.#count('refused');
      return false;
    }
    this.used += bytes;
    this.peak = Math.max(this.peak, this.used);
    this.#count('grown');
    return true;
  }

  give(bytes: number): void {
    this.used -= bytes;
  }
}

export type WindowEvent = 'grown' | 'refused';
