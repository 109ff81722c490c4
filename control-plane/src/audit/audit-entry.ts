import type { JsonObject } from '@remora/core/canonical-json';

/** What somebody did, before it has its place in the chain. Never holds a secret, nor the content of a document. */
export interface AuditNote {
  /** `documents.write`, `apiToken.create`, `secret.inspect`: stable words for programs. */
  readonly action: string;
  /** Who: `{kind, id, name}` of a principal, or `{kind: 'system'}`. */
  readonly actor: JsonObject;
  /** Client's address; absent where nobody asked from outside. */
  readonly from?: string;
  readonly outcome: 'done' | 'refused' | 'failed';
  readonly what: JsonObject;
}

/** One entry of the audit log: the hash covers everything else in it, and the hash of the entry before. */
export interface AuditEntry extends AuditNote {
  /** 1, 2, 3 … without gaps. */
  readonly seq: number;
  readonly at: string;
  /** Hash of the entry before; 64 zeros in the first one. */
  readonly prev: string;
  /** SHA-256 of the canonical JSON of the entry without `hash`, in hexadecimal. */
  readonly hash: string;
}

/** A place in the chain. */
export interface AuditPlace {
  readonly seq: number;
  readonly hash: string;
}

/** Where what is kept begins: the last entry that retention removed, and the entry in the chain that says so (0: none was removed). */
export interface AuditAnchor extends AuditPlace {
  readonly sealedBy: number;
}

export const noHash = '0'.repeat(64);
export const chainStart: AuditAnchor = { seq: 0, hash: noHash, sealedBy: 0 };
