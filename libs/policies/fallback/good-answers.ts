import type { Head } from '@remora/http/head';

/** An answer that was good, with what was said about it. Owns its bytes. */
export interface GoodAnswer {
  readonly status: number;
  /** In order, without what belongs to the connection or is made anew. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
  /** As the head said: of HEAD the length that the body would have. */
  readonly bodyLength: number;
  readonly storedAtMs: number;
}

/** The last good answers of one place, by what was asked: bounded in number and bytes, those not renewed for longest go first. One per thread. Pure: time is given. */
export class GoodAnswers {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  /** In the order in which they were stored. */
  readonly #answers = new Map<string, GoodAnswer>();
  #bytes = 0;

  constructor(bounds: { readonly entries: number; readonly bytes: number }) {
    this.#entriesMax = bounds.entries;
    this.#bytesMax = bounds.bytes;
  }

  get size(): number {
    return this.#answers.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Null: there is none, or it is older than that. */
  find(key: string, nowMs: number, maxAgeMs: number): GoodAnswer | null {
    const answer = this.#answers.get(key);
    return answer === undefined || nowMs - answer.storedAtMs > maxAgeMs ? null : answer;
  }

  /** False: it alone is more than all of them may be. */
  store(key: string, answer: GoodAnswer): boolean {
    const bytes = sizeOf(key, answer);
    if (bytes > this.#bytesMax) return false;
    this.#remove(key);
    this.#answers.set(key, answer);
    this.#bytes += bytes;
    while (this.#answers.size > this.#entriesMax || this.#bytes > this.#bytesMax) this.#remove(this.#answers.keys().next().value as string);
    return true;
  }

  #remove(key: string): void {
    const known = this.#answers.get(key);
    if (known === undefined) return;
    this.#answers.delete(key);
    this.#bytes -= sizeOf(key, known);
  }
}

/** Whether an answer of this head may be given to whoever asks the same again (as RFC 9111 section 3 has it for shared caches). */
export function mayBeKept(head: Head, keyHeaders: readonly string[]): boolean {
  if (head.status !== 200) return false;
  let may = true;
  head.forEach((name, value) => {
    if (name === 'set-cookie' || name === 'content-range' || name === 'grpc-status') may = false;
    else if (name === 'cache-control' && forbidding.some((word) => value.toLowerCase().includes(word))) may = false;
    else if (name === 'vary' && !value.split(',').every((one) => keyHeaders.includes(one.trim().toLowerCase()))) may = false;
  });
  return may;
}

/** What is kept of the head. */
export function keptHeaders(head: Head): (readonly [string, string])[] {
  const headers: (readonly [string, string])[] = [];
  head.forEach((name, value) => {
    if (!notKept.has(name)) headers.push([name, value]);
  });
  return headers;
}

function sizeOf(key: string, { headers, body }: GoodAnswer): number {
  return headers.reduce((sum, [name, value]) => sum + name.length + value.length + perHeader, key.length * 2 + body.length + perEntry);
}

const forbidding = ['no-store', 'private', 'no-cache'];
const notKept: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'trailer', 'upgrade', 'te', 'proxy-connection', 'date', 'age', 'x-request-id', 'server-timing', 'x-remora-retry', 'x-remora-fallback']);
const perHeader = 64;
const perEntry = 256;
