import type { Clock, Timer, Timers } from '@remora/core/clock';
import { contentHash } from '@remora/core/hash';
import type { SubjectKey } from '@remora/core/subject';
import { encodeInstanceCount, instanceCountName, instancesFactKind } from '@remora/policy-kit/instance-share';
import type { Planned } from '../compile/planner.ts';
import type { PushHub } from '../push/push-hub.ts';
import type { EncodedItem, StateItemSource } from '../push/state-items.ts';
import type { InstanceRegistry } from './instance-registry.ts';

export interface InstanceCountDeps {
  readonly registry: Pick<InstanceRegistry, 'endpoints' | 'onChange'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs'>;
  readonly timers: Timers;
}

/** After a start sidecars come back one after the other. */
const settleMs = 30_000;
/** A gateway's sidecar whose stream ended counts for so long, as the lease of an instance does. */
const goneMs = 10_000;
const latelyMs = 600_000;

/**
 * How many live instances a service or gateway has, as items of kind `instances`, for those whose limits are divided among them: of services what may be
 * called by a lease, of gateways the sidecars that are connected.
 */
export class InstanceCountItems implements StateItemSource {
  readonly kind = instancesFactKind;
  readonly #deps: InstanceCountDeps;
  readonly #listeners = new Set<(subjects: readonly SubjectKey[] | 'all') => void>();
  /** Sidecars of gateways, with the timer that forgets those that left. */
  readonly #gateways = new Map<SubjectKey, Map<string, Timer | null>>();
  /** Those that were there shortly before the start. */
  readonly #lately = new Map<SubjectKey, Set<string>>();
  readonly #answers = new Map<SubjectKey, readonly EncodedItem[]>();
  readonly #stops: (() => void)[];
  readonly #settled: Timer;
  readonly #startedAt: number;
  #planned: Planned | null = null;

  constructor(deps: InstanceCountDeps) {
    this.#deps = deps;
    this.#startedAt = deps.clock.monotonicMs();
    this.#stops = [deps.registry.onChange((services) => this.#tell([...services].map((service): SubjectKey => `service/${service}`)))];
    this.#settled = deps.timers.after(settleMs, () => this.#tellAll());
  }

  /** Hears who connects; the hub is made after its sources. */
  watch(hub: Pick<PushHub, 'onEvent' | 'sidecars'>): void {
    for (const { subject, nodeId, lastSeen } of hub.sidecars()) {
      if (!subject.startsWith('gateway/') || this.#deps.clock.wallMs() - Date.parse(lastSeen) > latelyMs) continue;
      const nodes = this.#lately.get(subject);
      if (nodes === undefined) this.#lately.set(subject, new Set([nodeId]));
      else nodes.add(nodeId);
    }
    this.#stops.push(hub.onEvent((event) => {
      if (!('nodeId' in event) || !event.subject.startsWith('gateway/')) return;
      if (event.type === 'sidecar-connected') this.#connected(event.subject, event.nodeId);
      else if (event.type === 'sidecar-disconnected') this.#disconnected(event.subject, event.nodeId);
    }));
  }

  follow(planned: Planned): void {
    const before = this.#planned;
    this.#planned = planned;
    if (before === null) this.#tellAll();
    else this.#tell([...planned.changed].filter((subject) => needs(before, subject) !== needs(planned, subject)));
  }

  itemsFor(subject: SubjectKey): readonly EncodedItem[] | null {
    if (this.#planned === null) return null;
    if (!needs(this.#planned, subject)) return none;
    const known = this.#answers.get(subject);
    if (known !== undefined) return known;
    const count = this.#count(subject);
    if (count === null) return null;
    const body = encodeInstanceCount(count);
    const answer = [{ name: instanceCountName, body, hash: contentHash(body) }];
    this.#answers.set(subject, answer);
    return answer;
  }

  onChange(listener: (subjects: readonly SubjectKey[] | 'all') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#settled.cancel();
    for (const stop of this.#stops) stop();
    for (const nodes of this.#gateways.values()) for (const timer of nodes.values()) timer?.cancel();
  }

  /** Null, where there is nobody: whoever asks is one of them, so the number is not known. */
  #count(subject: SubjectKey): number | null {
    const name = subject.slice(subject.indexOf('/') + 1);
    const live = subject.startsWith('service/')
      ? this.#deps.registry.endpoints(name)?.endpoints.filter(({ source, draining }) => source === 'lease' && !draining).length ?? 0
      : this.#gatewaysOf(subject);
    return live === 0 ? null : live;
  }

  /** Leases are kept over a restart, connections of gateways are not: for a moment those count too that were there lately. */
  #gatewaysOf(subject: SubjectKey): number {
    const connected = this.#gateways.get(subject);
    const before = this.#deps.clock.monotonicMs() - this.#startedAt < settleMs ? this.#lately.get(subject) : undefined;
    return new Set([...(connected?.keys() ?? []), ...(before ?? [])]).size;
  }

  #connected(subject: SubjectKey, nodeId: string): void {
    let nodes = this.#gateways.get(subject);
    if (nodes === undefined) this.#gateways.set(subject, nodes = new Map());
    nodes.get(nodeId)?.cancel();
    nodes.set(nodeId, null);
    this.#tell([subject]);
  }

  #disconnected(subject: SubjectKey, nodeId: string): void {
    const nodes = this.#gateways.get(subject);
    if (nodes === undefined || !nodes.has(nodeId)) return;
    nodes.get(nodeId)?.cancel();
    nodes.set(nodeId, this.#deps.timers.after(goneMs, () => {
      nodes.delete(nodeId);
      if (nodes.size === 0) this.#gateways.delete(subject);
      this.#tell([subject]);
    }));
  }

  #tell(subjects: readonly SubjectKey[]): void {
    for (const subject of subjects) this.#answers.delete(subject);
    const planned = this.#planned;
    const concerned = planned === null ? [] : subjects.filter((subject) => needs(planned, subject));
    if (concerned.length > 0) for (const listener of this.#listeners) listener(concerned);
  }

  #tellAll(): void {
    this.#answers.clear();
    for (const listener of this.#listeners) listener('all');
  }
}

const none: readonly EncodedItem[] = Object.freeze([]);

function needs(planned: Planned, subject: SubjectKey): boolean {
  return planned.compilation.subjects.get(subject)?.needs.instances ?? false;
}
