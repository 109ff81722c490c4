import type { JsonObject } from '@remora/core/canonical-json';
import type { SubjectKey } from '@remora/core/subject';
import type { LedgerEntry, Member } from './enforcement-ledger.ts';
import type { EnforcementOf } from './push-hub.ts';
import { readRefusal } from './refusal-memory.ts';

/** Sidecars named in one record; the counts are whole. */
const namesMax = 1_000;

/** A log entry's enforcement as the disk has it: counts, and who did not apply it. */
export function recordOfEntry({ version, committedWallMs, counts, elapsedMs, members }: LedgerEntry): JsonObject {
  const others: JsonObject[] = [];
  for (const [nodeId, { subject, outcome, elapsedMs: after, refusal }] of members) {
    if (outcome === 'applied') continue;
    if (others.length === namesMax) break;
    others.push({ nodeId, subject, outcome, elapsedMs: after, refusal: refusal as unknown as JsonObject | null });
  }
  return { version: { ...version }, committedWallMs, counts: { ...counts }, elapsedMs, others };
}

/**
 * Null for a record of another shape. Who was pending when the process ended is offline: this process has no stream of it.
 * Whoever comes back with that revision or a later one has applied it.
 */
export function entryOfRecord(record: JsonObject, now: { readonly wallMs: number; readonly monotonicMs: number }): LedgerEntry | null {
  const { version, committedWallMs, counts, elapsedMs, others } = record as { readonly [K in keyof ReturnType<typeof recordOfEntry>]?: unknown };
  const { epoch, index } = (version ?? {}) as { readonly epoch?: unknown; readonly index?: unknown };
  if (typeof epoch !== 'number' || typeof index !== 'number' || typeof committedWallMs !== 'number' || typeof elapsedMs !== 'number' || !Array.isArray(others)) return null;
  const read = readCounts(counts);
  if (!read) return null;
  const members = new Map<string, Member>();
  for (const other of others as unknown[]) {
    const { nodeId, subject, outcome, elapsedMs: after, refusal } = (other ?? {}) as { readonly [name: string]: unknown };
    if (typeof nodeId !== 'string' || typeof subject !== 'string' || !isOutcome(outcome) || typeof after !== 'number') continue;
    const said = typeof refusal === 'object' && refusal !== null ? readRefusal(refusal as JsonObject) : null;
    members.set(nodeId, { subject: subject as SubjectKey, outcome: outcome === 'pending' ? 'offline' : outcome, elapsedMs: after, refusal: said });
  }
  const settled = { ...read, offline: read.offline + read.pending, pending: 0 };
  const committedMonotonicMs = now.monotonicMs - Math.max(0, now.wallMs - committedWallMs);
  return { version: { epoch, index }, committedMonotonicMs, committedWallMs, counts: settled, elapsedMs, members };
}

function readCounts(counts: unknown): LedgerEntry['counts'] | null {
  const { total, applied, pending, refused, offline, superseded } = (counts ?? {}) as { readonly [name: string]: unknown };
  const all = [total, applied, pending, refused, offline, superseded].map((count) => (typeof count === 'number' && count >= 0 ? count : null));
  if (all.includes(null)) return null;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = all as number[];
  return { total: a, applied: b, pending: c, refused: d, offline: e, superseded: f };
}

function isOutcome(outcome: unknown): outcome is EnforcementOf['outcome'] {
  return outcome === 'pending' || outcome === 'refused' || outcome === 'offline' || outcome === 'superseded';
}
