import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock } from '@remora/core/clock';
import type { Steps } from '@remora/core/steps';
import { subjectKey } from '@remora/core/subject';
import type { SubjectKey } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { Violation } from '@remora/core/violation';
import { revisionNote } from '../audit/revision-note.ts';
import { effectiveDiff } from '../compile/effective-diff.ts';
import type { EffectiveDiff } from '../compile/effective-diff.ts';
import type { GuardFinding, Planned, Planner, PlanResult } from '../compile/planner.ts';
import { discoveryViolations } from '../discovery/discovery-check.ts';
import { mtlsViolations } from '../mtls/mtls-check.ts';
import { mtlsFindings } from '../mtls/mtls-guard.ts';
import type { CallerTraffic } from '../telemetry/caller-history.ts';
import type { InstanceRegistry } from '../instances/instance-registry.ts';
import type { PushHub } from '../push/push-hub.ts';
import type { Slices } from '../slices.ts';
import { applyChanges, asEntry } from '../store/log-rules.ts';
import type { AppendInput, DocumentChange, DocumentKey, LogEntry, Store, StoredDocument } from '../store/store.ts';
import { compiledRecord } from './compiled-record.ts';
import { checkForce, grantsOf, inUseFindings, subjectsOfDocuments } from './grants.ts';
import { intendedChanges } from './intended-changes.ts';
import type { Intent, SameMeaning } from './intended-changes.ts';
import { planHash } from './plan-hash.ts';
import { referrersOf } from './references.ts';
import type { WriteAuthority } from './write-authority.ts';
import type { WriteClaims } from './write-claims.ts';
import { WriteError } from './write-error.ts';
import { createWriteQueue } from './write-queue.ts';

/** The only way into the log. One write at a time: validated, planned, guarded, appended, then published. */
export interface WritePath {
  /** Loads and compiles what the store has and publishes it. Afterwards `state` is ready, or says what is wrong with the store's documents. */
  start(): Promise<void>;
  state(): WriteState;
  /** Throws WriteError where the write is refused, StoreError where the store fails. Nothing is half done. */
  write(request: WriteRequest): Promise<WriteOutcome>;
  onCommitted(listener: (entry: LogEntry) => void): () => void;
  /** Told of each state that is understood, the first included, before sidecars are. */
  onPlanned(listener: (planned: Planned) => void): () => void;
  /** Writes that wait or run. */
  depth(): number;
  stop(): Promise<void>;
}

export type WriteState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'ready'; readonly planned: Planned }
  /** The documents in the store cannot be compiled by this build. Reads go on; a write that repairs them is accepted. */
  | { readonly kind: 'broken'; readonly violations: readonly Violation[] };

export interface WriteRequest {
  readonly intent: Intent;
  readonly author: string;
  /** As the audit log names whoever asked; default: the author, unproven. */
  readonly by?: { readonly actor: JsonObject; readonly from?: string };
  /** What they may write; default: everything. */
  readonly authority?: WriteAuthority;
  readonly message: string;
  readonly dryRun?: boolean;
  /** Of a dry run: also fields that no policy sets. */
  readonly allFields?: boolean;
  /** Hash of a plan somebody agreed to: refused where this would now do something else. */
  readonly plan?: string;
  /** `canary/NAME` where that one writes: what it has claimed for itself is its own. */
  readonly claimant?: string;
  /** Guards to lift. */
  readonly force?: readonly string[];
  readonly idempotency?: { readonly key: string; readonly fingerprint: string };
}

export interface WriteOutcome {
  readonly outcome: 'committed' | 'unchanged' | 'dry-run' | 'repeated';
  /** The newest place in the log after this write. */
  readonly head: Version;
  /** null where no entry was made. */
  readonly entry: LogEntry | null;
  readonly plan: string;
  readonly changes: readonly DocumentChange[];
  /** Subjects whose sidecars would enforce, or now get, something else. Sorted. */
  readonly subjects: readonly SubjectKey[];
  readonly guards: readonly (GuardFinding & { readonly forced: boolean })[];
  /** Dry runs: what would be enforced otherwise, field by field. null: not worked out. */
  readonly effective: EffectiveDiff | null;
}

export interface WritePorts {
  readonly store: Store;
  readonly planner: Planner;
  /** Of the model: whether two documents mean the same. */
  readonly sameMeaning: SameMeaning;
  readonly hub: PushHub;
  readonly instances: InstanceRegistry;
  /** Sidecars have certificates; absent: they have. */
  readonly hasIdentity?: boolean;
  /** Sources of instances that this control plane is set up for; absent: all. */
  readonly discoverySources?: ReadonlySet<string>;
  /** Who called a service since a moment (Unix ms), as its sidecars report; absent: nobody is known. */
  readonly callersOf?: (service: string, sinceMs: number) => readonly CallerTraffic[];
  /** What others may not touch; absent: nothing. */
  readonly claims?: WriteClaims;
  readonly clock: Clock;
  readonly slices: Slices;
  readonly alarm: (error: unknown) => void;
}

const dayMs = 86_400_000;
const waitingMax = 256;
/** Tries against a head that others move; only a store shared by several replicas can move it. */
const headTries = 8;

export function createWritePath(ports: WritePorts): WritePath {
  return new SerialWritePath(ports);
}

interface Draft {
  readonly changes: readonly DocumentChange[];
  readonly planned: Planned;
  readonly findings: readonly GuardFinding[];
  readonly plan: string;
  readonly head: Version;
}

class SerialWritePath implements WritePath {
  readonly #ports: WritePorts;
  readonly #queue = createWriteQueue(waitingMax);
  readonly #listeners = new Set<(entry: LogEntry) => void>();
  readonly #planListeners = new Set<(planned: Planned) => void>();
  #state: WriteState = { kind: 'starting' };
  /** What the state was planned from. */
  #head: Version;

  constructor(ports: WritePorts) {
    this.#ports = ports;
    this.#head = ports.store.head();
  }

  start(): Promise<void> {
    return this.#queue.run(async () => {
      const result = await this.#replan();
      if (!result.ok) {
        this.#state = { kind: 'broken', violations: result.violations };
        return;
      }
      await this.#recordFormat(result.planned);
      this.#state = { kind: 'ready', planned: result.planned };
      this.#publish(result.planned, { version: this.#head, changed: new Set(result.planned.compilation.subjects.keys()), grants: [] });
    });
  }

  state(): WriteState {
    return this.#state;
  }

  async write(request: WriteRequest): Promise<WriteOutcome> {
    checkForce(request.force ?? []);
    return this.#queue.run(() => this.#attempt(request));
  }

  onCommitted(listener: (entry: LogEntry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onPlanned(listener: (planned: Planned) => void): () => void {
    this.#planListeners.add(listener);
    return () => this.#planListeners.delete(listener);
  }

  depth(): number {
    return this.#queue.depth();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #attempt(request: WriteRequest): Promise<WriteOutcome> {
    const repeated = this.#repeated(request);
    if (repeated) return repeated;
    for (let attempt = 0; attempt < headTries; attempt++) {
      const draft = await this.#ports.slices.run(this.#draft(request));
      checkPlan(request, draft);
      if (request.dryRun) return { ...outcomeOf('dry-run', draft, request, null), effective: await this.#effective(draft, request.allFields === true) };
      checkGuards(request, draft);
      const input = await this.#ports.slices.run(this.#appendInput(request, draft));
      if (!input) return outcomeOf('unchanged', draft, request, null);
      const result = await this.#ports.store.append(input);
      switch (result.kind) {
        case 'appended':
          this.#committed(result.entry, draft.planned);
          return outcomeOf('committed', { ...draft, head: result.entry.version }, request, result.entry);
        case 'repeated':
          return outcomeOf('repeated', draft, request, result.entry);
        case 'key-reused':
          throw keyReused();
        case 'head-moved':
          await this.#catchUp();
      }
    }
    throw new WriteError('write-contended', `${headTries} other writes were faster; try again`);
  }

  #repeated(request: WriteRequest): WriteOutcome | null {
    if (!request.idempotency || request.dryRun) return null;
    const before = this.#ports.store.repeated(request.idempotency.key);
    if (!before) return null;
    if (before.fingerprint !== request.idempotency.fingerprint) throw keyReused();
    return { outcome: 'repeated', head: this.#ports.store.head(), entry: before.entry, plan: '', changes: before.entry.changes, subjects: [], guards: [], effective: null };
  }

  *#draft(request: WriteRequest): Steps<Draft> {
    const { store, planner, hub } = this.#ports;
    const head = store.head();
    const current = store.documents();
    request.authority?.checkIntent(request.intent, current);
    const changes = yield* intendedChanges(request.intent, current, this.#ports.sameMeaning);
    request.authority?.checkChanges(request.intent, changes);
    const previous = this.#state.kind === 'ready' ? this.#state.planned : null;
    const next = documentsAfter(current, changes, head);
    const claimed = this.#ports.claims?.check({ intent: request.intent, changes, documents: next, claimant: request.claimant ?? '' }) ?? [];
    const result = yield* planner.planInSteps(previous, next, changes.map(({ key }) => key));
    refuseBroken(result, changes, next, request.intent);
    refuseViolations([...claimed, ...mtlsViolations(changes, result.planned, this.#ports.hasIdentity ?? true), ...discoveryViolations(changes, this.#ports.discoverySources)]);
    const findings = [...result.planned.guards, ...inUseFindings(changes, () => hub.sidecars()), ...this.#mtlsFindings(previous, result.planned)];
    return { changes, planned: result.planned, findings, plan: yield* planHash(changes, result.planned), head };
  }

  #mtlsFindings(before: Planned | null, after: Planned): GuardFinding[] {
    const { hub, clock, callersOf } = this.#ports;
    return mtlsFindings({ before, after, trafficOf: (service) => callersOf?.(service, clock.wallMs() - dayMs) ?? [], sidecars: () => hub.sidecars() });
  }

  /** null: the state before is not understood. */
  async #effective(draft: Draft, all: boolean): Promise<EffectiveDiff | null> {
    return this.#state.kind === 'ready' ? this.#ports.slices.run(effectiveDiff(this.#state.planned, draft.planned, { all })) : null;
  }

  /** null: nothing to write. */
  *#appendInput(request: WriteRequest, draft: Draft): Steps<AppendInput | null> {
    const force = request.force ?? [];
    const { intent } = request;
    const still = draft.changes.length === 0;
    const touched = still && intent.kind === 'apply' ? subjectsOfDocuments(intent.documents.map(({ key }) => key), draft.planned) : draft.planned.changed;
    const { authority } = request;
    const grants = grantsOf(force, draft.findings, still && authority ? [...touched].filter((subject) => authority.mayForce(subject)) : touched);
    if (still && grants.length === 0) return null;
    const before = this.#state.kind === 'ready' ? this.#state.planned.compilation : null;
    return {
      expectedHead: draft.head,
      author: request.author,
      message: request.message,
      ...kindOf(intent, still),
      changes: draft.changes,
      grants,
      ...(request.idempotency ? { idempotencyKey: request.idempotency.key, idempotencyFingerprint: request.idempotency.fingerprint } : {}),
      compiled: yield* compiledRecord(before, draft.planned.compilation, draft.planned.changed),
      audit: (entry) => revisionNote(entry, request.by ?? { actor: { kind: 'open', name: request.author } }),
    };
  }

  #committed(entry: LogEntry, planned: Planned): void {
    this.#head = entry.version;
    this.#state = { kind: 'ready', planned };
    this.#publish(planned, { version: entry.version, changed: planned.changed, grants: entry.grants });
    this.#tell(this.#listeners, entry);
  }

  #tell<T>(listeners: Iterable<(told: T) => void>, told: T): void {
    for (const listener of listeners) {
      try {
        listener(told);
      } catch (error) {
        this.#ports.alarm(error);
      }
    }
  }

  #publish(planned: Planned, update: { readonly version: Version; readonly changed: ReadonlySet<SubjectKey>; readonly grants: LogEntry['grants'] }): void {
    this.#tell(this.#planListeners, planned);
    this.#ports.instances.setStatic(planned.staticEndpoints);
    this.#ports.hub.publish({ ...update, compilation: planned.compilation, committedAtMs: this.#ports.clock.wallMs() });
  }

  #replan(): Promise<PlanResult> {
    const { store, planner, slices } = this.#ports;
    this.#head = store.head();
    return slices.run(planner.planInSteps(null, store.documents(), []));
  }

  /** Another replica wrote: understand the store again before the next try. */
  async #catchUp(): Promise<void> {
    const result = await this.#replan();
    this.#state = result.ok ? { kind: 'ready', planned: result.planned } : { kind: 'broken', violations: result.violations };
    if (result.ok) this.#publish(result.planned, { version: this.#head, changed: new Set(result.planned.compilation.subjects.keys()), grants: [] });
  }

  /** Where this build compiles the same documents to other bytes than the last one did, the log says so. */
  async #recordFormat(planned: Planned): Promise<void> {
    const { store } = this.#ports;
    const changed = new Set<SubjectKey>();
    for (const [key, subject] of planned.compilation.subjects) if (store.manifestAt(this.#head.index, key) !== subject.hash) changed.add(key);
    if (changed.size === 0) return;
    const result = await store.append({
      expectedHead: this.#head, author: 'control-plane', message: 'compiled anew by this build', kind: 'format', changes: [], grants: [],
      compiled: await this.#ports.slices.run(compiledRecord(null, planned.compilation, changed)),
    });
    if (result.kind === 'appended') this.#head = result.entry.version;
  }
}

function kindOf(intent: Intent, still: boolean): Pick<LogEntry, 'kind' | 'of'> {
  if (still) return { kind: 'grant' };
  if (intent.kind === 'revert') return { kind: 'revert', of: intent.entry.version.index };
  if (intent.kind === 'restore-to') return { kind: 'restore-to', of: intent.index };
  return { kind: 'documents' };
}

function documentsAfter(current: ReadonlyMap<DocumentKey, StoredDocument>, changes: readonly DocumentChange[], head: Version): ReadonlyMap<DocumentKey, StoredDocument> {
  const input = { expectedHead: head, author: '', message: '', kind: 'documents' as const, changes, grants: [] };
  return applyChanges(current, asEntry(input, { epoch: head.epoch, index: head.index + 1 }, 0));
}

function refuseBroken(result: PlanResult, changes: readonly DocumentChange[], next: ReadonlyMap<DocumentKey, StoredDocument>, intent: WriteRequest['intent']): asserts result is Extract<PlanResult, { ok: true }> {
  const deleted = new Set(changes.filter(({ after }) => after === null).map(({ key }) => key));
  const referrers = deleted.size === 0 ? [] : referrersOf(deleted, next.values());
  const violations = result.ok ? [] : result.violations;
  if (referrers.length > 0) {
    const names = [...new Set(referrers.map(({ from }) => from))];
    throw new WriteError('referred', `${[...new Set(referrers.map(({ to }) => to))].join(', ')} cannot be deleted: ${names.slice(0, 10).join(', ')}${names.length > 10 ? ` and ${names.length - 10} more` : ''} still refer to it`, {
      violations,
      facts: { referrers: referrers.slice(0, 1_000).map((reference) => ({ ...reference })) },
    });
  }
  if (!result.ok) throw new WriteError('documents-refused', `${violations.length} violation${violations.length === 1 ? '' : 's'}${goingBackText(intent)}`, { violations });
}

/** Whoever goes back has no document at hand that could be corrected. */
function goingBackText(intent: WriteRequest['intent']): string {
  if (intent.kind === 'revert') return `: what revision ${intent.entry.version.index} replaced is no longer taken as it was. Apply the documents named here, corrected, instead`;
  if (intent.kind === 'restore-to') return `: the state after revision ${intent.index} is no longer taken as it was. Go to another one, or apply the documents named here, corrected`;
  return '';
}

function refuseViolations(violations: readonly Violation[]): void {
  if (violations.length > 0) throw new WriteError('documents-refused', `${violations.length} violation${violations.length === 1 ? '' : 's'}`, { violations });
}

function checkPlan(request: WriteRequest, draft: Draft): void {
  if (request.plan === undefined || request.plan === draft.plan) return;
  throw new WriteError('plan-differs', 'this would now do something else than the plan that was agreed to; look at it again', { facts: { plan: draft.plan } });
}

function checkGuards(request: WriteRequest, draft: Draft): void {
  const lifted = ({ guard, subject }: GuardFinding): boolean => (request.force?.includes(guard) ?? false) && (request.authority?.mayForce(subjectKey(subject)) ?? true);
  const held = draft.findings.filter((finding) => !lifted(finding));
  if (held.length === 0) return;
  const names = [...new Set(held.map(({ guard }) => guard))];
  throw new WriteError('guard', `${held.map(({ message }) => message).join('; ')}. Where this is meant: force=${names.join(',')}`, {
    facts: { guards: held.map(({ guard, subject, message }) => ({ guard, subject: `${subject.kind}/${subject.name}`, message })) },
  });
}

function outcomeOf(outcome: WriteOutcome['outcome'], draft: Draft, request: WriteRequest, entry: LogEntry | null): WriteOutcome {
  const { head, plan, changes } = draft;
  const guards = draft.findings.map((finding) => ({ ...finding, forced: request.force?.includes(finding.guard) ?? false }));
  return { outcome, head, entry, plan, changes, subjects: [...draft.planned.changed].sort(), guards, effective: null };
}

function keyReused(): WriteError {
  return new WriteError('idempotency-key-reused', 'this Idempotency-Key was used for a different request');
}
