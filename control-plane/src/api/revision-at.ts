import { z } from 'zod';
import type { Access } from '../operators/access.ts';
import { ForbiddenError } from '../operators/forbidden-error.ts';
import type { LogEntry } from '../store/store.ts';
import type { ApiPorts } from './api-ports.ts';
import { revisionNumber } from './parameters.ts';
import { ApiError } from './problem.ts';
import { visibleEntry } from './visible-changes.ts';

const expected = 'expected a revision such as 41, or a time such as 2027-01-31T14:02:00Z';
const instant = z.iso.datetime({ offset: true, error: expected });

/** `?at=41` or `?at=2027-01-31T14:02:00Z`. */
export const atParameter = z.union([revisionNumber, instant], { error: expected }).describe('A revision, or a time');
/** The same in a JSON body. */
export const atField = z.union([z.int().min(0), instant], { error: expected });

/** The revision that `at` names; the newest one then, where it is a time. Throws `gone` where nothing is kept from that time. */
export function revisionAt(ports: ApiPorts, at: number | string): number {
  if (typeof at === 'number') return at;
  const atMs = Date.parse(at);
  for (let before: number | undefined; ; ) {
    const page = ports.store.entries({ limit: 200, changesMax: 0, ...(before === undefined ? {} : { before }) });
    const found = page.find((entry) => Date.parse(entry.at) <= atMs);
    if (found) return found.version.index;
    const last = page.at(-1);
    if (!last) throw new ApiError('gone', `nothing is kept from ${at}`);
    before = last.version.index;
  }
}

/** The same, as far as it is about the scope of whoever asks. Throws ForbiddenError where nothing of it is. */
export function findVisibleEntry(ports: ApiPorts, access: Access, index: number): LogEntry {
  const entry = visibleEntry(access, findEntry(ports, index));
  if (entry) return entry;
  throw new ForbiddenError(access.principal, { role: 'viewer', right: 'read', document: `revision ${index}`, detail: `revision ${index} changed nothing in this role's scope` });
}

/** One entry of the log. Throws `gone` past retention, `not-found` where there never was one. */
export function findEntry(ports: ApiPorts, index: number): LogEntry {
  const entry = ports.store.entry(index);
  if (entry) return entry;
  const retainedFrom = ports.store.retainedFrom();
  if (index > 0 && index < retainedFrom) throw new ApiError('gone', `revision ${index} is past retention; the oldest kept is ${retainedFrom}`);
  throw new ApiError('not-found', `there is no revision ${index}; the newest is ${ports.store.head().index}`);
}
