import type { Exchange } from './exchange.ts';
import type { SharedMemory } from './runtime-kind.ts';
import { traceIdOf } from './trace-id.ts';

/**
 * What the two sides of one sidecar tell each other about requests that pass through its app, so that retries of several hops do not multiply: that a
 * request which came in is itself a retry, and that a call which it caused has had all the attempts that it may get. Both sides know the request by its
 * id or its trace, which apps hand on (`x-request-id`, `traceparent`); where an app hands on neither, there is nothing to tell.
 *
 * Written and read only where something fails. A fixed table in memory that all threads share, newer entries over the oldest of four; an entry counts for a
 * minute. What is lost, or taken for another by its hash of 32 bits, costs a retry too many or too few.
 */
export class HopNotes {
  #memory: SharedMemory | null = null;
  #words: Int32Array = new Int32Array(words);

  static readonly bytes: number = 32 * 1024;

  /** From the first request on that its memory is there for. */
  use(memory: SharedMemory | null): void {
    if (memory === null || memory === this.#memory) return;
    this.#memory = memory;
    this.#words = new Int32Array(memory.buffer, 0, words);
  }

  /** The request that came in is a retry of another hop. */
  noteRetry(x: Exchange, nowMs: number): void {
    this.#note(x, nowMs, retryTable);
  }

  /** The call was made for a request that came in as a retry. */
  isRetry(x: Exchange, nowMs: number): boolean {
    return this.#has(x, nowMs, retryTable);
  }

  /** The call failed, and has had all the attempts that it may get. */
  noteSpent(x: Exchange, nowMs: number): void {
    this.#note(x, nowMs, spentTable);
  }

  /** A call that the request caused has had all its attempts. */
  isSpent(x: Exchange, nowMs: number): boolean {
    return this.#has(x, nowMs, spentTable);
  }

  #note(x: Exchange, nowMs: number, table: number): void {
    const trace = traceIdOf(x);
    if (x.requestId !== '') this.#put(hashOf(x.requestId), nowMs, table);
    if (trace !== '') this.#put(hashOf(trace), nowMs, table);
  }

  #has(x: Exchange, nowMs: number, table: number): boolean {
    if (x.requestId !== '' && this.#find(hashOf(x.requestId), nowMs, table)) return true;
    const trace = traceIdOf(x);
    return trace !== '' && this.#find(hashOf(trace), nowMs, table);
  }

  /** Over the entry of the same request, or the oldest of its set. */
  #put(hash: number, nowMs: number, table: number): void {
    const words = this.#words;
    const now = stampOf(nowMs);
    const from = setOf(hash, table);
    let at = from;
    for (let row = from; row < from + setWords; row += rowWords) {
      if (Atomics.load(words, row) === hash) {
        at = row;
        break;
      }
      if (ageOf(words, row, now) > ageOf(words, at, now)) at = row;
    }
    Atomics.store(words, at, hash);
    Atomics.store(words, at + 1, now);
  }

  #find(hash: number, nowMs: number, table: number): boolean {
    const words = this.#words;
    const from = setOf(hash, table);
    for (let row = from; row < from + setWords; row += rowWords) {
      if (Atomics.load(words, row) === hash) return ageOf(words, row, stampOf(nowMs)) <= keptMs;
    }
    return false;
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 1;
}

/** First row of the set in which the request is, where it is in the table. */
function setOf(hash: number, table: number): number {
  return table + ((hash ^ (hash >>> 15)) & (sets - 1)) * setWords;
}

/** Milliseconds in one word: ages of up to 24 days are right. */
function stampOf(nowMs: number): number {
  return Math.floor(nowMs) | 0;
}

function ageOf(words: Int32Array, row: number, now: number): number {
  // A row that was never written is older than all others.
  return Atomics.load(words, row) === 0 ? Number.POSITIVE_INFINITY : (now - Atomics.load(words, row + 1)) | 0;
}

/** Hash and time. */
const rowWords = 2;
const setWords = 4 * rowWords;
const sets = 512;
const words = sets * setWords * 2;
const retryTable = 0;
const spentTable = sets * setWords;
const keptMs = 60_000;
