import { createHash } from 'node:crypto';
import { canonicalJson } from '@remora/core/canonical-json';
import type { JsonObject } from '@remora/core/canonical-json';
import { noHash } from './audit-entry.ts';
import type { AuditAnchor, AuditEntry, AuditNote, AuditPlace } from './audit-entry.ts';

/** The action of the entry that retention writes: what it removed, and the hash of the last of that. */
export const trimAction = 'audit.trim';

/** Puts a note behind an entry. The text is what is stored, exported and hashed. */
export function chainNote(note: AuditNote, previous: AuditPlace, atMs: number): { readonly entry: AuditEntry; readonly text: string } {
  const body: JsonObject = { seq: previous.seq + 1, at: new Date(atMs).toISOString(), prev: previous.hash, action: note.action, actor: note.actor, ...(note.from === undefined ? {} : { from: note.from }), outcome: note.outcome, what: note.what };
  const entry = { ...body, hash: hashOfBody(body) };
  return { entry: entry as unknown as AuditEntry, text: canonicalJson(entry) };
}

function hashOfBody(body: JsonObject): string {
  return createHash('sha256').update(canonicalJson(body)).digest('hex');
}

/** What is wrong, and from which entry on nothing can be believed. */
export interface BrokenChain {
  readonly seq: number;
  readonly problem: string;
}

/**
 * Walks entries as they are stored, oldest first, and finds the first that is not what was written: changed, missing, out of place, or
 * not in the one form that an entry has. Feed it pages; `end` looks at what only the whole can show.
 */
export class ChainVerifier {
  readonly #anchor: AuditAnchor;
  #place: AuditPlace;
  #sealed: boolean;
  #broken: BrokenChain | null = null;
  #count = 0;

  constructor(anchor: AuditAnchor) {
    this.#anchor = anchor;
    this.#place = anchor;
    this.#sealed = anchor.seq === 0;
    if (anchor.seq === 0 && (anchor.hash !== noHash || anchor.sealedBy !== 0)) this.#broken = { seq: 1, problem: 'the chain begins behind an entry that never was' };
  }

  /** Entries that were looked at and hold. */
  get count(): number {
    return this.#count;
  }

  get place(): AuditPlace {
    return this.#place;
  }

  /** Answers whether all is well so far. */
  add(text: string): boolean {
    if (this.#broken) return false;
    const problem = this.#problemOf(text);
    if (problem !== null) this.#broken = { seq: this.#place.seq + 1, problem };
    return problem === null;
  }

  /** Null where everything holds. */
  end(): BrokenChain | null {
    if (this.#broken) return this.#broken;
    if (!this.#sealed) return { seq: this.#anchor.seq + 1, problem: `entries up to ${this.#anchor.seq} are missing, and no entry of retention says that it removed them` };
    return null;
  }

  #problemOf(text: string): string | null {
    const seq = this.#place.seq + 1;
    const entry = readEntry(text);
    if (entry === null) return 'it is no JSON object';
    const { hash, ...body } = entry;
    if (entry['seq'] !== seq) return `entry ${JSON.stringify(entry['seq'] ?? null).slice(0, 20)} is in its place`;
    if (canonicalJson(entry) !== text) return 'it is not in the form in which entries are written';
    if (entry['prev'] !== this.#place.hash) return 'the hash of the entry before is another one';
    if (hashOfBody(body) !== hash) return 'its content does not have its hash';
    this.#place = { seq, hash };
    this.#count += 1;
    if (entry['action'] === trimAction && isSeal(entry, this.#anchor)) this.#sealed = true;
    return null;
  }
}

function isSeal(entry: JsonObject, { seq, hash, sealedBy }: AuditAnchor): boolean {
  const { what } = entry;
  if (entry['seq'] !== sealedBy || typeof what !== 'object' || what === null) return false;
  const { through, hash: removed } = what as JsonObject;
  return through === seq && removed === hash;
}

function readEntry(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
  } catch {
    return null;
  }
}
