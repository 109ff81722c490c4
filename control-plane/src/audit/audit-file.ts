import { canonicalJson } from '@remora/core/canonical-json';
import { ChainVerifier } from './audit-chain.ts';
import type { BrokenChain } from './audit-chain.ts';
import type { AuditAnchor, AuditPlace } from './audit-entry.ts';

const format = 'remora-audit-1';

/** The first line of an exported file. */
export function fileHead(anchor: AuditAnchor): string {
  return canonicalJson({ format, anchor: { seq: anchor.seq, hash: anchor.hash, sealedBy: anchor.sealedBy } });
}

/** The last line: what was cut off before it shows. */
export function fileEnd(place: AuditPlace): string {
  return canonicalJson({ end: { seq: place.seq, hash: place.hash } });
}

export type AuditVerdict =
  | { readonly ok: true; readonly entries: number; readonly head: AuditPlace; readonly anchor: AuditAnchor }
  /** `line`: of the file, from 1. */
  | { readonly ok: false; readonly broken: BrokenChain; readonly line: number };

/** Verifies an exported file: every byte of it. `wanted`: places that somebody noted elsewhere and that must be in it. */
export function verifyFile(bytes: Uint8Array, wanted: readonly AuditPlace[] = []): AuditVerdict {
  const lines = linesOf(bytes);
  if (typeof lines === 'string') return { ok: false, broken: { seq: 0, problem: lines }, line: 1 };
  const [head = '', ...rest] = lines;
  const anchor = anchorIn(head);
  if (anchor === null) return { ok: false, broken: { seq: 0, problem: 'the first line is not that of an exported audit log' }, line: 1 };
  const last = rest.pop() ?? '';
  const verifier = new WatchedVerifier(anchor, wanted);
  for (const [at, text] of rest.entries()) {
    const problem = verifier.add(text);
    if (problem) return { ok: false, broken: problem, line: at + 2 };
  }
  const broken = last === fileEnd(verifier.place) ? verifier.end() : { seq: verifier.place.seq + 1, problem: 'the last line is not that of the end: entries are missing behind, or were added' };
  return broken ? { ok: false, broken, line: rest.length + 2 } : { ok: true, entries: verifier.count, head: verifier.place, anchor };
}

/** A verifier that also looks for places that were noted elsewhere. */
export class WatchedVerifier {
  readonly #chain: ChainVerifier;
  readonly #wanted: Map<number, string>;

  constructor(anchor: AuditAnchor, wanted: readonly AuditPlace[]) {
    this.#chain = new ChainVerifier(anchor);
    this.#wanted = new Map(wanted.map(({ seq, hash }) => [seq, hash]));
    this.#meet(anchor);
  }

  get count(): number {
    return this.#chain.count;
  }

  get place(): AuditPlace {
    return this.#chain.place;
  }

  /** Null where all is well so far. */
  add(text: string): BrokenChain | null {
    if (!this.#chain.add(text)) return this.#chain.end();
    return this.#meet(this.#chain.place) ? null : { seq: this.#chain.place.seq, problem: 'it is whole, and not what was noted elsewhere: the log was rewritten' };
  }

  end(): BrokenChain | null {
    const broken = this.#chain.end();
    if (broken) return broken;
    const [missing] = this.#wanted.keys();
    return missing === undefined ? null : { seq: missing, problem: 'it was noted elsewhere and is not here' };
  }

  #meet({ seq, hash }: AuditPlace): boolean {
    const wanted = this.#wanted.get(seq);
    if (wanted === undefined) return true;
    if (wanted === hash) this.#wanted.delete(seq);
    return wanted === hash;
  }
}

/** A sentence where the bytes are no lines of UTF-8. */
function linesOf(bytes: Uint8Array): string[] | string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return 'the file is not UTF-8';
  }
  if (!text.endsWith('\n')) return 'the file does not end with a line end: it was cut off, or changed';
  return text.slice(0, -1).split('\n');
}

function anchorIn(line: string): AuditAnchor | null {
  try {
    const { anchor } = JSON.parse(line) as { readonly anchor?: Partial<AuditAnchor> };
    const { seq, hash, sealedBy } = anchor ?? {};
    if (typeof seq !== 'number' || typeof hash !== 'string' || typeof sealedBy !== 'number') return null;
    const found = { seq, hash, sealedBy };
    return fileHead(found) === line ? found : null;
  } catch {
    return null;
  }
}
