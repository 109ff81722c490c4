/** How many look at requests through this process, and what they were not shown. */
export class OpenTaps {
  #open = 0;
  #skipped = 0;

  get open(): number {
    return this.#open;
  }

  /** Requests that matched and were told to nobody: the reader was slow, or a sidecar had no room. Since the start. */
  get skipped(): number {
    return this.#skipped;
  }

  /** False: there are so many already. */
  begin(): boolean {
    if (this.#open >= openTapsMax) return false;
    this.#open += 1;
    return true;
  }

  end(): void {
    this.#open -= 1;
  }

  leftOut(requests: number): void {
    this.#skipped += requests;
  }
}

export const openTapsMax = 16;
