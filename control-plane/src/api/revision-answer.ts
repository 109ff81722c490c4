import type { DocumentChange, LogEntry } from '../store/store.ts';
import { byUrgency } from '../push/enforcement-ledger.ts';
import type { Enforcement, EnforcementOf } from '../push/push-hub.ts';

/** Documents named of one revision; more are counted only. A page of a list names fewer of each, so that it stays small. */
const documentsMax = 1_000;
export const documentsListed = 20;

export function actionOf(change: DocumentChange): 'created' | 'updated' | 'deleted' {
  return change.before === null ? 'created' : change.after === null ? 'deleted' : 'updated';
}

/** A log entry as the API shows it. */
export function revisionAnswer(entry: LogEntry, documents = documentsMax): object {
  return {
    revision: entry.version.index,
    version: entry.version,
    at: entry.at,
    author: entry.author,
    message: entry.message,
    kind: entry.kind,
    ...(entry.of === undefined ? {} : { of: entry.of }),
    documents: entry.changes.slice(0, documents).map((change) => ({ document: change.key, action: actionOf(change) })),
    documentCount: entry.changeCount ?? entry.changes.length,
    grants: entry.grants,
  };
}

/** One page of an enforcement: who has to be looked at comes first. */
export interface EnforcementPage {
  readonly limit: number;
  readonly outcome?: EnforcementOf['outcome'] | undefined;
  /** `next` of the page before: outcome and node id of its last sidecar. */
  readonly after?: string | undefined;
}

/** Sidecars in the answer of a write; GET /v1/revisions/{n}/enforcement has the others. */
export const firstEnforcementPage: EnforcementPage = { limit: 200 };

export function enforcementAnswer(enforcement: Enforcement, { limit, outcome, after }: EnforcementPage): object {
  const { version, done, elapsedMs, counts, complete } = enforcement;
  const wanted = outcome === undefined ? enforcement.sidecars : enforcement.sidecars.filter((one) => one.outcome === outcome);
  const rest = after === undefined ? wanted : wanted.slice(placeAfter(wanted, after));
  const sidecars = rest.slice(0, limit);
  const last = sidecars.at(-1);
  const next = last && rest.length > sidecars.length ? `${last.outcome}/${last.nodeId}` : null;
  return { version, done, elapsedMs, counts, complete, sidecars, next };
}

/** The first place behind a cursor, also where that sidecar has another outcome by now. */
function placeAfter(sidecars: readonly EnforcementOf[], cursor: string): number {
  const slash = cursor.indexOf('/');
  const rank = urgency(cursor.slice(0, slash));
  const nodeId = cursor.slice(slash + 1);
  const place = sidecars.findIndex((one) => urgency(one.outcome) > rank || (urgency(one.outcome) === rank && one.nodeId > nodeId));
  return place < 0 ? sidecars.length : place;
}

function urgency(outcome: string): number {
  return byUrgency.findIndex((known) => known === outcome);
}
