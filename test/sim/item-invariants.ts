import { compareVersions, formatVersion, type Version } from '@remora/core/version';
import type { Subject } from '@remora/core/subject';
import { mayHave, numberOf } from './sim-items.ts';

/** What one sidecar holds of one kind, after a change or a start. */
export interface HeldItems {
  readonly node: string;
  readonly incarnation: number;
  readonly subject: Subject;
  readonly kind: string;
  readonly items: ReadonlyMap<string, Uint8Array>;
  /** What the data threads have been given. */
  readonly facts: ReadonlyMap<string, Uint8Array>;
  /** Of the state lane, before this change. */
  readonly version: Version;
}

interface SeenNode {
  readonly incarnation: number;
  version: Version;
  hadBundle: boolean;
  readonly numbers: Map<string, number>;
}

/** What holds of items in every sidecar, whenever one changes. */
export class ItemInvariants {
  readonly violations: string[] = [];
  changes = 0;
  removals = 0;
  readonly #nodes = new Map<string, SeenNode>();

  held({ node, incarnation, subject, kind, items, facts, version }: HeldItems): void {
    this.changes += 1;
    let seen = this.#nodes.get(node);
    if (seen?.incarnation !== incarnation) this.#nodes.set(node, seen = { incarnation, version, hadBundle: false, numbers: new Map() });
    if (compareVersions(version, seen.version) < 0) this.violations.push(`the state of ${node} went back from ${formatVersion(seen.version)} to ${formatVersion(version)}`);
    seen.version = version;
    for (const [name, body] of items) {
      if (!mayHave(subject, kind, name)) this.violations.push(`${node} holds ${kind}/${name}, which is not for ${subject.kind} ${subject.name}`);
      this.#numbered(node, seen, kind, name, body);
    }
    for (const name of seen.numbers.keys()) if (name.startsWith(`${kind}/`) && !items.has(name.slice(kind.length + 1))) this.removals += 1;
    if (kind === 'trustBundle' && items.size === 0 && seen.hadBundle) this.violations.push(`${node} lost its roots, which nobody took away`);
    if (kind === 'trustBundle') seen.hadBundle = items.size > 0;
    if (!sameItems(items, facts)) this.violations.push(`${node} keeps other ${kind} than its data threads have`);
  }

  /** After a start from the disk. */
  restored(node: string, stored: ReadonlyMap<string, Uint8Array>, held: ReadonlyMap<string, Uint8Array>): void {
    if (!sameItems(stored, held)) this.violations.push(`${node} came back with ${held.size} items of the ${stored.size} on its disk`);
  }

  /** In the end. */
  converged(node: string, wanted: ReadonlyMap<string, string>, held: ReadonlyMap<string, string>): string[] {
    const found: string[] = [];
    for (const [key, hash] of wanted) if (held.get(key) !== hash) found.push(`${node} ${held.has(key) ? 'has another' : 'misses'} ${key}`);
    for (const key of held.keys()) if (!wanted.has(key)) found.push(`${node} still has ${key}`);
    return found;
  }

  #numbered(node: string, seen: SeenNode, kind: string, name: string, body: Uint8Array): void {
    const number = numberOf(kind, body);
    if (number === null) return;
    const key = `${kind}/${name}`;
    const before = seen.numbers.get(key) ?? 0;
    if (number < before) this.violations.push(`${node} went back from ${before} to ${number} of ${key}`);
    seen.numbers.set(key, number);
  }
}

export function sameItems(a: ReadonlyMap<string, Uint8Array>, b: ReadonlyMap<string, Uint8Array>): boolean {
  return a.size === b.size && [...a].every(([name, body]) => Buffer.compare(body, b.get(name) ?? Buffer.alloc(0)) === 0);
}
