/** Where the text of a tap goes. */
export interface TapSink {
  /** Bytes that wait to be read. */
  queued(): number;
  write(text: string): void;
  /** So many more requests are not shown. */
  skipped(requests: number): void;
}

/** Bytes that may wait for one reader. */
export const tapQueuedBytesMax = 256 * 1024;

/**
 * What one tap tells as server-sent events. Requests for which a slow reader has no room are not kept: how many it were is told when there is room
 * again, at the latest with `end`, which is always written.
 */
export class TapStream {
  readonly #sink: TapSink;
  readonly #silent = new Set<string>();
  /** By sidecar: a figure for each that was connected within the time of the tap at most. */
  readonly #untold = new Map<string, number>();
  #seen = 0;

  constructor(sink: TapSink) {
    this.#sink = sink;
  }

  leftOut(sidecars: number): void {
    this.#tell('left-out', { sidecars });
  }

  /** `skipped`: requests of which the sidecar itself says that it had no room for them. */
  answered(nodeId: string, { requests, skipped }: { readonly requests: readonly object[]; readonly skipped: number }): void {
    const told = requests.filter((one) => this.#tell('request', { nodeId, ...one })).length;
    this.#seen += told;
    const missed = skipped + requests.length - told;
    if (missed > 0) this.#sink.skipped(missed);
    const untold = (this.#untold.get(nodeId) ?? 0) + missed;
    if (untold > 0 && !this.#tell('skipped', { nodeId, skipped: untold })) this.#untold.set(nodeId, untold);
    else this.#untold.delete(nodeId);
  }

  /** Told once for each sidecar. */
  silent(nodeId: string, detail: string): void {
    if (!this.#silent.has(nodeId) && this.#tell('silent', { nodeId, detail })) this.#silent.add(nodeId);
  }

  end(sidecars: number): void {
    const untold = [...this.#untold].map(([nodeId, skipped]) => eventText('skipped', { nodeId, skipped })).join('');
    this.#sink.write(`${untold}${eventText('end', { seen: this.#seen, sidecars })}`);
  }

  /** False: there is no room. */
  #tell(event: string, data: object): boolean {
    if (this.#sink.queued() > tapQueuedBytesMax) return false;
    this.#sink.write(eventText(event, data));
    return true;
  }
}

function eventText(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
