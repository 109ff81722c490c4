import { contentHash } from '@remora/core/hash';
import { subjectKey } from '@remora/core/subject';
import type { Steps } from '@remora/core/steps';
import type { Violation } from '@remora/core/violation';
import { loadDocumentsInSteps } from '@remora/model/load-documents';
import type { ValidDocument } from '@remora/model/model';
import { z } from 'zod';
import type { EffectiveDiff } from '../compile/effective-diff.ts';
import { violationsBeside } from '../compile/unread-documents.ts';
import type { Access } from '../operators/access.ts';
import { actorOf } from '../operators/principal.ts';
import { writeRights } from '../operators/write-rights.ts';
import { diffOf } from '../write/document-diff.ts';
import type { Intent } from '../write/intended-changes.ts';
import { WriteError } from '../write/write-error.ts';
import type { WriteOutcome, WriteRequest } from '../write/write-path.ts';
import type { ApiCall, ApiReply } from './api-route.ts';
import type { ApiPorts } from './api-ports.ts';
import { narrowWriteError } from './narrow-write-error.ts';
import { durationParameter, flagParameter, listParameter } from './parameters.ts';
import { ApiError, countText } from './problem.ts';
import { checkText } from './request-text.ts';
import { enforcementAnswer, firstEnforcementPage, revisionAnswer } from './revision-answer.ts';
import { visibleEntry } from './visible-changes.ts';
import { visibleEnforcement } from './visible-enforcement.ts';

/** What every write can be asked for beside its content. */
export const writeQuery = z.object({
  dryRun: flagParameter.describe('Validate, plan and answer; change nothing'),
  all: flagParameter.describe('With `dryRun`: `effective` also lists defaults that come or go with a section'),
  plan: z.string().regex(/^[0-9a-f]{32}$/, { error: 'expected the `plan` of an earlier answer' }).optional().describe('Refuse where this would do something else than that plan'),
  wait: z.enum(['applied'], { error: 'expected applied' }).optional().describe('`applied`: answer when the sidecars concerned enforce it'),
  timeout: durationParameter({ ms: 600_000, text: '10m' }).default(10_000).describe('How long to wait, e.g. `10s`'),
  force: listParameter.describe('Guards to lift, separated by commas'),
  message: z.string().optional().describe('Why, for the history'),
});

export type WriteQuery = z.output<typeof writeQuery>;

/** Names in one answer; the counts beside them are whole. */
const namesMax = 1_000;

const largeBodyBytes = 1024 * 1024;

/** Reads and validates the documents of a body. Throws with everything that is wrong. */
export async function readBody(ports: ApiPorts, call: ApiCall): Promise<readonly ValidDocument[]> {
  // Putting a large one together took its time already.
  if (call.body.length > largeBodyBytes) await ports.slices.pause();
  return ports.slices.run(readInSteps(ports, call));
}

function* readInSteps(ports: ApiPorts, call: ApiCall): Steps<readonly ValidDocument[]> {
  const json = /\bjson\b/.test(call.contentType);
  const loaded = yield* loadDocumentsInSteps([{ name: json ? 'request.json' : 'request', bytes: call.body }]);
  const { documents, violations } = yield* ports.model.validateDocumentsInSteps(loaded.documents);
  if (loaded.violations.length + violations.length === 0) return documents;
  // What the store says beside it is of all documents: for those who see all.
  if (!call.access.seesAll) throw refusedDocuments([...loaded.violations, ...violations]);
  const state = ports.writePath.state();
  const beside = yield* violationsBeside(ports.planner, { previous: state.kind === 'ready' ? state.planned : null, documents: ports.store.documents() }, { loaded: loaded.documents, valid: documents, lost: loaded.violations.length > 0 });
  throw refusedDocuments([...loaded.violations, ...violations, ...beside]);
}

function refusedDocuments(violations: readonly Violation[]): WriteError {
  return new WriteError('documents-refused', countText(violations.length), { violations });
}

/** The same, where nothing at all is a mistake: a wrong path or an empty template in a pipeline must not look like success. */
export async function readSomeDocuments(ports: ApiPorts, call: ApiCall): Promise<readonly ValidDocument[]> {
  const documents = await readBody(ports, call);
  if (documents.length > 0) return documents;
  const message = 'the input has no document';
  throw new WriteError('documents-refused', message, { violations: [{ pointer: '', code: 'no-document', message }] });
}

/** Runs one write and answers for it: 200, or 201 where `created` says so. */
export async function answerWrite(ports: ApiPorts, call: ApiCall<unknown, WriteQuery>, intent: Intent): Promise<ApiReply> {
  const { query, access } = call;
  const outcome = await narrowly(ports, access, intent, {
    intent,
    author: call.author,
    by: { actor: actorOf(access.principal), from: call.address },
    authority: writeRights(access),
    message: checkText(query.message ?? '', 'message', 1_024),
    dryRun: query.dryRun,
    allFields: query.all,
    force: query.force,
    ...(query.plan === undefined ? {} : { plan: query.plan }),
    ...idempotencyOf(call),
  });
  const answer = writeAnswer(ports, access, outcome);
  const enforcement = query.wait === 'applied' && outcome.entry ? await ports.hub.waitApplied(outcome.entry.version.index, query.timeout) : null;
  const body = { ...answer, enforcement: enforcement && enforcementAnswer(visibleEnforcement(access, enforcement), firstEnforcementPage) };
  return { status: 200, body, headers: outcome.entry ? { 'x-remora-revision': String(outcome.entry.version.index) } : {} };
}

/** A refusal says no more than the scope of whoever asks. */
export async function narrowly(ports: ApiPorts, access: Access, intent: Intent, request: WriteRequest): Promise<WriteOutcome> {
  try {
    return await ports.writePath.write(request);
  } catch (error) {
    const given = new Set<string>(intent.kind === 'apply' ? intent.documents.map(({ key }) => key) : intent.kind === 'delete' ? intent.keys : []);
    throw narrowWriteError(access, ports.store.documents(), given, error);
  }
}

function idempotencyOf(call: ApiCall<unknown, unknown>): { idempotency?: { key: string; fingerprint: string } } {
  const key = call.header('idempotency-key');
  if (key === undefined) return {};
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) throw new ApiError('bad-request', 'Idempotency-Key: expected 1 to 200 visible ASCII characters');
  const { kind, id } = call.access.principal;
  // Nobody gets the answer of somebody else by their key.
  const owner = kind === 'open' ? '' : `${kind} ${id}\n`;
  return { idempotency: { key, fingerprint: contentHash(`${owner}${call.target}\n${contentHash(call.body)}`) } };
}

/** Sidecars that have something to do: those fixed at the commit, or all that a commit now would concern. */
function concernedSidecars(ports: ApiPorts, access: Access, { entry, subjects }: WriteOutcome): { readonly sidecars: readonly object[]; readonly sidecarCount: number } {
  const known = entry ? ports.hub.enforcement(entry.version.index) : null;
  if (known) {
    const enforcement = visibleEnforcement(access, known);
    const sidecars = enforcement.sidecars.slice(0, namesMax).map(({ nodeId, subject, outcome }) => ({ nodeId, subject, connected: outcome !== 'offline' }));
    return { sidecars, sidecarCount: enforcement.counts.total };
  }
  const concerned = new Set(subjects.filter((subject) => access.sees(subject)));
  const sidecars = subjects.length === 0 ? [] : ports.hub.sidecars().filter(({ subject }) => concerned.has(subject));
  return { sidecars: sidecars.slice(0, namesMax).map(({ nodeId, subject, connected }) => ({ nodeId, subject, connected })), sidecarCount: sidecars.length };
}

function writeAnswer(ports: ApiPorts, access: Access, outcome: WriteOutcome): object {
  const { changes } = outcome;
  const entry = outcome.entry && visibleEntry(access, outcome.entry);
  // Whom else it concerns is counted.
  const subjects = access.seesAll ? outcome.subjects : outcome.subjects.filter((subject) => access.seesName(subject));
  return {
    outcome: outcome.outcome,
    revision: entry && revisionAnswer(entry),
    head: outcome.head,
    plan: outcome.plan,
    changes: changes.slice(0, namesMax).map(diffOf),
    changeCount: changes.length,
    subjects: subjects.slice(0, namesMax),
    subjectCount: outcome.subjects.length,
    ...concernedSidecars(ports, access, outcome),
    guards: outcome.guards.filter(({ subject }) => access.sees(subjectKey(subject))).map(({ guard, subject, message, forced }) => ({ guard, subject: `${subject.kind}/${subject.name}`, message, forced })),
    effective: outcome.effective && visibleEffective(access, outcome.effective),
  };
}

/** `service/orders route split`, `gateway/edge calling service/orders`: each name in it is known, or the place is counted only. */
function visibleEffective(access: Access, diff: EffectiveDiff): EffectiveDiff {
  if (access.seesAll) return diff;
  const sees = (place: string): boolean => [...place.matchAll(/\b(service|gateway)\/[^ ]+/g)].every(([subject]) => access.seesName(subject));
  return { ...diff, changes: diff.changes.map((change) => ({ ...change, places: change.places.filter(sees) })) };
}
