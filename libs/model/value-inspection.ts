import type { Json, JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { documentLimits } from './document-limits.ts';
import { prototypeName } from './prototype-names.ts';

/** What is wrong with a value whatever it means: too deep, too large, text that has no UTF-8 form. */
export function inspectValue(value: JsonObject): { readonly problems: readonly Violation[]; readonly hasPrototypeName: boolean } {
  const walk = new Walk();
  walk.visit(value, '', 0);
  return walk;
}

class Walk {
  readonly problems: Violation[] = [];
  hasPrototypeName = false;
  #nodes = 0;
  #bytes = 0;
  #stopped = false;

  visit(value: Json, pointer: string, depth: number): void {
    if (this.#stopped) return;
    if (++this.#nodes > documentLimits.nodes) return this.#stop('', 'too-large', `has more than ${documentLimits.nodes} values`);
    if (depth > documentLimits.depth) return this.#stop(pointer, 'too-deep', `is nested more than ${documentLimits.depth} levels deep`);
    if (typeof value === 'string') return this.#text(value, pointer);
    if (typeof value === 'number' && !Number.isFinite(value)) return this.#add(pointer, 'invalid-value', 'is not a finite number');
    if (value === null || typeof value !== 'object') return;
    if (Array.isArray(value)) {
      for (const [i, item] of (value as readonly Json[]).entries()) this.visit(item, `${pointer}/${i}`, depth + 1);
      return;
    }
    for (const key of Object.keys(value)) {
      if (key === prototypeName) this.hasPrototypeName = true;
      this.#text(key, pointer);
      this.visit((value as JsonObject)[key] ?? null, joinPointer(pointer, key), depth + 1);
    }
  }

  #text(text: string, pointer: string): void {
    this.#bytes += Buffer.byteLength(text) + 4;
    if (!text.isWellFormed()) this.#add(pointer, 'invalid-text', 'has half of a surrogate pair, which is no character');
    if (this.#bytes > documentLimits.documentBytes) this.#stop('', 'too-large', `is larger than ${documentLimits.documentBytes / 1024} KiB`);
  }

  #add(pointer: string, code: string, message: string): void {
    if (this.problems.length < 20) this.problems.push({ pointer, code, message });
  }

  #stop(pointer: string, code: string, message: string): void {
    if (!this.#stopped) this.#add(pointer, code, message);
    this.#stopped = true;
  }
}
