import { runSteps } from '@remora/core/steps';
import type { Steps } from '@remora/core/steps';
import { subjectKey } from '@remora/core/subject';
import type { Subject, SubjectKey } from '@remora/core/subject';
import type { Violation } from '@remora/core/violation';
import type { MeshModelDocument, Model } from '@remora/model/model';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { RuntimeKind, WireKind } from '@remora/policy-kit/runtime-kind';
import type { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { DecodeCache } from '@remora/snapshot/decode-cache';
import { decodeSnapshot, decodeSteps } from '@remora/snapshot/decode';
import { checkGuards, summarize } from '@remora/snapshot/guards';
import type { SnapshotSummary } from '@remora/snapshot/guards';
import { changeState, emptyState } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import { createResolver } from '../resolve/explain.ts';
import { SettingsResolver } from '../resolve/settings-resolver.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import { affectedSubjects } from './affected-subjects.ts';
import type { CompiledSubject } from './compilation.ts';
import { GatheredViolations } from './gathered-violations.ts';
import type { GuardFinding, Planned, Planner, PlanResult } from './planner.ts';
import { ResourceStore, resourceBytesMax } from './resource-store.ts';
import { SettingsCompiler } from './settings-compiler.ts';
import { ContradictionTolerance, type StandingContradictions } from './standing-contradictions.ts';
import { checkDocuments, checkSubjects } from './state-check.ts';
import { staticEndpointsOf } from './static-endpoints.ts';
import { SubjectCompiler } from './subject-compiler.ts';

export interface PlannerParts {
  readonly model: Model;
  readonly kinds: ReadonlyMap<string, AuthoringKind>;
  readonly wireKinds: ReadonlyMap<string, WireKind<unknown>>;
}

/** Changed subjects of one step. */
interface Compiled {
  readonly subjects: ReadonlyMap<SubjectKey, CompiledSubject>;
  readonly summaries: ReadonlyMap<SubjectKey, SnapshotSummary>;
  readonly changed: ReadonlySet<SubjectKey>;
}

/** A new state, and what of it has to be looked at. */
interface Step {
  readonly state: DocumentState;
  readonly affected: ReadonlySet<SubjectKey> | 'all';
  readonly subjects: readonly Subject[];
}

/** What a step comes to. */
interface Finished {
  readonly previous: Planned | null;
  readonly documents: ReadonlyMap<DocumentKey, StoredDocument>;
  readonly keys: readonly DocumentKey[];
  readonly step: Step;
  readonly compiled: Compiled;
  readonly contradictions: StandingContradictions;
}

/** Resources up to which a subject is decoded in one step. */
const decodedAtOnce = 128;

const nothingChanged: Compiled = { subjects: new Map(), summaries: new Map(), changed: new Set() };

export class IncrementalPlanner implements Planner {
  readonly #parts: PlannerParts;
  readonly #resolver: SettingsResolver;
  readonly #compiler: SubjectCompiler;
  /** Decoding needs name, format and `decode` of a kind, which is what the control plane has of it. */
  readonly #runtimeKinds: ReadonlyMap<string, RuntimeKind<unknown>>;
  readonly #decoded = new DecodeCache();
  readonly #resources = new ResourceStore();

  constructor(parts: PlannerParts) {
    this.#parts = parts;
    this.#runtimeKinds = parts.wireKinds as ReadonlyMap<string, RuntimeKind<unknown>>;
    const resources = this.#resources;
    this.#resolver = new SettingsResolver(parts.kinds);
    this.#compiler = new SubjectCompiler({ resolver: this.#resolver, settings: new SettingsCompiler(parts.kinds, resources), resources, kinds: parts.kinds });
  }

  plan(previous: Planned | null, documents: ReadonlyMap<DocumentKey, StoredDocument>, changes: Iterable<DocumentKey>): PlanResult {
    return runSteps(this.planInSteps(previous, documents, changes));
  }

  *planInSteps(previous: Planned | null, documents: ReadonlyMap<DocumentKey, StoredDocument>, changes: Iterable<DocumentKey>): Steps<PlanResult> {
    const changed = new Set(changes);
    const keys = previous === null ? [...documents.keys()] : [...changed];
    const tolerance = toleranceOf(previous, changed);
    const gathered = new GatheredViolations(tolerance);
    const step = yield* this.#check(previous, documents, keys, new Set(), gathered);
    if (gathered.any) return { ok: false, violations: gathered.list() };
    const compiled = yield* this.#compile(previous, step, tolerance, gathered);
    if (gathered.any) return { ok: false, violations: gathered.list() };
    return { ok: true, planned: this.#finish({ previous, documents, keys, step, compiled, contradictions: tolerance.standing(lookedAt(step, keys)) }) };
  }

  *checkInSteps(previous: Planned | null, documents: ReadonlyMap<DocumentKey, StoredDocument>, changes: Iterable<DocumentKey>, unreadable: ReadonlySet<DocumentKey>): Steps<readonly Violation[]> {
    const changed = new Set(changes);
    const gathered = new GatheredViolations(toleranceOf(previous, changed));
    yield* this.#check(previous, documents, previous === null ? [...documents.keys()] : [...changed], unreadable, gathered);
    return gathered.list();
  }

  /** Everything short of compiling. Documents that are wrong by themselves are left out, and naming them is no mistake. */
  *#check(previous: Planned | null, documents: ReadonlyMap<DocumentKey, StoredDocument>, keys: readonly DocumentKey[], unreadable: ReadonlySet<DocumentKey>, gathered: GatheredViolations): Steps<Step> {
    const excused = new Set(unreadable);
    const read = yield* this.#readDocuments(documents, keys, excused, gathered);
    const before = previous?.state ?? emptyState(this.#parts.kinds);
    const state = yield* changeState(before, read);
    const affected = keys.length === 0 ? new Set<SubjectKey>() : yield* affectedSubjects(before, state, keys);
    const subjects = existing(state, affected);
    yield* checkDocuments({ before, state, keys: [...new Set([...keys, ...policiesThatStand(previous)])], excused, kinds: this.#parts.kinds }, gathered);
    yield* checkSubjects(state, subjects, this.#resolver, gathered);
    return { state, affected, subjects };
  }

  /**
   * New documents checked by themselves; undefined where they are gone. Of those that are wrong, a policy counts as gone and
   * everything else as unchanged.
   */
  *#readDocuments(documents: ReadonlyMap<DocumentKey, StoredDocument>, keys: readonly DocumentKey[], excused: Set<DocumentKey>, gathered: GatheredViolations): Steps<ReadonlyMap<DocumentKey, MeshModelDocument | undefined>> {
    const read = new Map<DocumentKey, MeshModelDocument | undefined>();
    for (const key of excused) if (key.startsWith('Policy/')) read.set(key, undefined);
    for (const key of keys) {
      yield;
      const stored = documents.get(key);
      if (stored === undefined) {
        read.set(key, undefined);
        continue;
      }
      const result = this.#parts.model.validateDocument(stored.document);
      if (result.ok) {
        read.set(key, result.valid.document as unknown as MeshModelDocument);
        continue;
      }
      const refused = result.violations.filter((violation) => !gathered.takes({ document: key, ...violation }, key));
      if (refused.length === 0) {
        read.set(key, stored.document as unknown as MeshModelDocument);
        continue;
      }
      excused.add(key);
      if (key.startsWith('Policy/')) read.set(key, undefined);
      for (const violation of refused) gathered.add({ document: key, ...violation });
    }
    return read;
  }

  *#compile(previous: Planned | null, { state, affected, subjects }: Step, tolerance: ContradictionTolerance, gathered: GatheredViolations): Steps<Compiled> {
    const before = previous?.compilation.subjects;
    const gone = before === undefined ? [] : [...(affected === 'all' ? before.keys() : affected)].filter((key) => before.has(key) && !exists(state, key));
    if (subjects.length === 0 && gone.length === 0) return previous === null ? nothingChanged : { subjects: previous.compilation.subjects, summaries: previous.summaries, changed: new Set() };
    const all = new Map(before);
    const summaries = new Map(previous?.summaries);
    const changed = new Set<SubjectKey>(gone);
    for (const key of gone) {
      all.delete(key);
      summaries.delete(key);
    }
    for (const subject of subjects) {
      yield;
      const key = subjectKey(subject);
      const made = yield* this.#compileOne(state, subject, tolerance, gathered);
      if (made === null) continue;
      const known = before?.get(key);
      if (known?.hash === made.hash) continue;
      const summary = yield* this.#decode(made, gathered);
      if (summary === null) continue;
      all.set(key, made);
      summaries.set(key, summary);
      changed.add(key);
    }
    if (subjects.length * 2 > all.size) this.#age();
    return { subjects: all, summaries, changed };
  }

  /** Kinds can compile what their checks accept; of a contradiction that stands, one might not: then it is refused like any other mistake. */
  *#compileOne(state: DocumentState, subject: Subject, tolerance: ContradictionTolerance, gathered: GatheredViolations): Steps<CompiledSubject | null> {
    try {
      return yield* this.#compiler.compile(state, subject);
    } catch (error) {
      const key = subjectKey(subject);
      const standing = tolerance.at(key);
      if (standing.length === 0) throw error;
      for (const violation of standing) gathered.add({ ...violation, message: `${violation.message} (and cannot be compiled: ${(error as Error).message})` });
      return null;
    }
  }

  /** After a step over most of the fleet: what neither it nor the one before it needed is forgotten. */
  #age(): void {
    this.#resolver.age();
    this.#resources.age();
    this.#decoded.age();
  }

  /** Reads what would be pushed with the sidecar's own code. What that refuses is refused here, before it is committed. */
  *#decode(made: CompiledSubject, gathered: GatheredViolations): Steps<SnapshotSummary | null> {
    const { subject, hash, manifest, resources } = made;
    for (const bytes of resources.values()) {
      if (bytes.length > resourceBytesMax) gathered.add({ pointer: '', code: 'too-large', message: `what is compiled from the policies of one place has ${bytes.length} bytes, at most ${resourceBytesMax} are possible` }, undefined, subjectKey(subject));
    }
    const candidate = { subject, version: { epoch: 0, index: 0 }, hash, manifest, resources };
    const options = { cache: this.#decoded, hashesVerified: true };
    // Most are small, and being interrupted costs as much as decoding them.
    const result = resources.size <= decodedAtOnce ? decodeSnapshot(candidate, this.#runtimeKinds, options) : yield* decodeSteps(candidate, this.#runtimeKinds, options);
    if (result.ok) return summarize(result.snapshot);
    for (const { resource, kind, pointer, code, message, policies } of result.errors) {
      const policy = policies[0];
      const violation: Violation = { pointer: kind === '' ? pointer : `/${kind}${pointer}`, code: `sidecar-refuses-${code}`, message: `a sidecar would refuse ${resource}: ${message}` };
      gathered.add(policy === undefined ? violation : { ...violation, document: `Policy/${policy}` });
    }
    return null;
  }

  #finish({ previous, documents, keys, step: { state }, compiled, contradictions }: Finished): Planned {
    return Object.freeze({
      documents,
      compilation: { subjects: compiled.subjects },
      changed: compiled.changed,
      resolver: createResolver(state, this.#parts.kinds, this.#resolver),
      staticEndpoints: staticEndpoints(previous, state, keys),
      guards: previous === null ? [] : guardFindings(previous, compiled),
      contradictions,
      state,
      summaries: compiled.summaries,
    });
  }
}

function toleranceOf(previous: Planned | null, written: ReadonlySet<DocumentKey>): ContradictionTolerance {
  return new ContradictionTolerance({ before: previous?.contradictions ?? null, written });
}

/** They depend on other documents too: looked at in every step. */
function policiesThatStand(previous: Planned | null): DocumentKey[] {
  return [...previous?.contradictions.values() ?? []].flatMap(({ owners }) => [...owners].filter((owner) => owner.startsWith('Policy/')) as DocumentKey[]);
}

function lookedAt({ state, affected }: Step, keys: readonly DocumentKey[]): (owner: SubjectKey | DocumentKey) => boolean {
  const written: ReadonlySet<string> = new Set(keys);
  return (owner) => {
    if (owner.startsWith('Policy/')) return true;
    if (owner.startsWith('service/') || owner.startsWith('gateway/')) return affected === 'all' || affected.has(owner as SubjectKey) || !exists(state, owner as SubjectKey);
    return written.has(owner);
  };
}

function exists(state: DocumentState, key: SubjectKey): boolean {
  const name = key.slice(key.indexOf('/') + 1);
  return key.startsWith('service/') ? state.services.has(name) : state.gateways.has(name);
}

function existing(state: DocumentState, affected: ReadonlySet<SubjectKey> | 'all'): Subject[] {
  if (affected === 'all') {
    return [...[...state.services.keys()].map((name): Subject => ({ kind: 'service', name })), ...[...state.gateways.keys()].map((name): Subject => ({ kind: 'gateway', name }))];
  }
  return [...affected].filter((key) => exists(state, key)).map((key): Subject => ({ kind: key.startsWith('service/') ? 'service' : 'gateway', name: key.slice(key.indexOf('/') + 1) }));
}

function staticEndpoints(previous: Planned | null, state: DocumentState, keys: readonly DocumentKey[]): ReadonlyMap<string, EndpointSet> {
  const services = keys.filter((key) => key.startsWith('Service/')).map((key) => key.slice('Service/'.length));
  if (previous !== null && services.length === 0) return previous.staticEndpoints;
  const sets = new Map(previous?.staticEndpoints);
  for (const name of services) {
    const service = state.services.get(name);
    const set = service === undefined ? null : staticEndpointsOf(service);
    if (set === null) sets.delete(name);
    else sets.set(name, set);
  }
  return sets;
}

function guardFindings(previous: Planned, compiled: Compiled): GuardFinding[] {
  const found: GuardFinding[] = [];
  for (const key of compiled.changed) {
    const [before, after] = [previous.summaries.get(key), compiled.summaries.get(key)];
    const subject = compiled.subjects.get(key)?.subject;
    if (before === undefined || after === undefined || subject === undefined) continue;
    for (const { guard, message } of checkGuards(before, after, new Set())) found.push({ guard, subject, message });
  }
  return found;
}
