import { createHash } from 'node:crypto';
import { canonicalJson } from '@remora/core/canonical-json';
import type { JsonObject } from '@remora/core/canonical-json';
import type { DocumentChange, LogEntry } from '../store/store.ts';
import type { AuditNote } from './audit-entry.ts';

/** Documents that one entry names; their number is always whole. */
const documentsMax = 1_000;
/** Kinds whose content is, or may hold, what can be guessed: a hash of it would tell who guesses right. */
const unhashed: ReadonlySet<string> = new Set(['Secret', 'Consumer']);

/** What the audit log says about a revision: which documents it changed, and the hash of what each is since. */
export function revisionNote({ version, kind, of, message, changes, grants }: LogEntry, by: { readonly actor: JsonObject; readonly from?: string }): AuditNote {
  return {
    action: 'documents.write',
    actor: by.actor,
    ...(by.from === undefined ? {} : { from: by.from }),
    outcome: 'done',
    what: {
      epoch: version.epoch, revision: version.index, kind, message,
      ...(of === undefined ? {} : { of }),
      documents: changes.slice(0, documentsMax).map(documentOf), documentCount: changes.length,
      ...(grants.length === 0 ? {} : { forced: grants.map(({ guard }) => guard) }),
    },
  };
}

function documentOf({ key, before, after }: DocumentChange): JsonObject {
  const action = before === null ? 'created' : after === null ? 'deleted' : 'updated';
  if (after === null || unhashed.has(key.slice(0, key.indexOf('/')))) return { document: key, action };
  return { document: key, action, sha256: createHash('sha256').update(canonicalJson(after)).digest('hex') };
}
