import type { Exchange } from './exchange.ts';
import type { SharedMemory } from './runtime-kind.ts';
import { traceIdOf } from './trace-id.ts';

/**
 * What the two sides of one sidecar tell each other about requests that pass through its app, so that retries of several hops do not multiply: that a
 * request which came in is itself a retry, and that a call which it caused has had all the attempts that it may get. Both sides know the request by its
 * id or its trace, which apps hand on (`x-request-id`, `traceparent`); where an app hands on neither, there is nothing to tell.
 *
 * Written and read only where something fails. A fixed table in memory that all threads share, newer entries over older ones; an entry counts for a
 * minute. What is lost, or taken for another by its hash of 32 bits, costs a retry too many or too few.
 */
export class HopNotes {
  #memory: SharedMemory | null = null;
  #words: Int32Array = new Int32Array(words);

  static readonly bytes: number = 4 * 1024 * 4;

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

  #put(hash: number, nowMs: number, table: number): void {
    const at = rowOf(hash, table);
    Atomics.store(this.#words, at, hash);
    Atomics.store(this.#words, at + 1, secondOf(nowMs));
  }

  #find(hash: number, nowMs: number, table: number): boolean {
    const at = rowOf(hash, table);
    return Atomics.load(this.#words, at) === hash && secondOf(nowMs) - Atomics.load(this.#words, at + 1) <= keptSeconds;
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 1;
}

function rowOf(hash: number, table: number): number {
  return table + ((hash ^ (hash >>> 16)) & (rows - 1)) * 2;
}

function secondOf(nowMs: number): number {
  return Math.floor(nowMs / 1000) + 1;
}

const rows = 1024;
const words = rows * 2 * 2;
const retryTable = 0;
const spentTable = rows * 2;
const keptSeconds = 60;
