import { FactBooks, type FactUpdate } from '@remora/policy-kit/facts';
import type { Version } from '@remora/core/version';
import { formatVersion } from '@remora/core/version';
import type { Candidate } from '@remora/snapshot/candidate';
import type {
  BoundListener, DataPlane, EndpointUpdate, ListenerSpec, PrepareResult, RefusalRecord, RequestQuestion, SeriesReading,
} from './data-plane.ts';
import type { TapAnswer, TapAsk } from '../pipeline/request-taps.ts';
import type { HealthReport } from '../records/health-batch.ts';
import { systemClock } from '@remora/core/clock';
import type { TlsMaterial } from '../tls/tls-material.ts';
import { HostSlots } from '../upstream/host-slots.ts';

/**
 * A data plane that enforces nothing and remembers everything, for tests and the simulator: what is current, every swap,
 * the endpoint sets. Answers can be replaced to make a step fail or take time.
 */
export class RecordingDataPlane implements DataPlane {
  /** What was asked, in order: `prepare <hash>`, `swap <version>`, `discard <hash>`, … */
  readonly calls: string[] = [];
  /** Every content that was current, with the version it came under. */
  readonly enforced: { readonly hash: string; readonly version: Version }[] = [];
  readonly prepared = new Map<string, Candidate>();
  /** Encoded sets in the order they came. */
  endpointUpdates: EndpointUpdate[] = [];
  /** What was given for TLS, in the order it came. */
  readonly materials: TlsMaterial[] = [];
  readonly facts = new FactBooks();
  current: { readonly candidate: Candidate; readonly version: Version } | null = null;
  series: readonly SeriesReading[] = [];
  /** Replaced by tests. */
  onPrepare: (candidate: Candidate) => Promise<PrepareResult> = () => Promise.resolve({ ok: true, buildMs: 0 });
  beforeEndpoints: () => Promise<void> = () => Promise.resolve();
  beforeFacts: () => Promise<void> = () => Promise.resolve();
  onSwap: (hash: string) => Promise<void> = () => Promise.resolve();
  onDrain: (deadlineMs: number) => Promise<{ readonly cut: number }> = () => Promise.resolve({ cut: 0 });
  readonly hosts = new HostSlots(systemClock);
  closed = false;
  #healthHandler: (report: HealthReport) => void = () => {};
  #refusalHandler: (refusal: RefusalRecord) => void = () => {};
  #relayedHandler: (failure: RefusalRecord) => void = () => {};
  #nextPort = 40_000;

  listen(listeners: readonly ListenerSpec[]): Promise<readonly BoundListener[]> {
    this.calls.push(`listen ${listeners.map(({ name }) => name).join(' ')}`);
    return Promise.resolve(listeners.map(({ name, host, port }) => ({ name, host, port: port === 0 ? this.#nextPort++ : port })));
  }

  async prepare(candidate: Candidate): Promise<PrepareResult> {
    this.calls.push(`prepare ${candidate.hash.slice(0, 8)}`);
    const result = await this.onPrepare(candidate);
    if (result.ok) this.prepared.set(candidate.hash, candidate);
    return result;
  }

  async swap(hash: string, version: Version): Promise<{ readonly warming: readonly string[] }> {
    this.calls.push(`swap ${formatVersion(version)}`);
    await this.onSwap(hash);
    const candidate = this.prepared.get(hash);
    if (!candidate) throw new Error(`${hash} is not prepared`);
    this.prepared.delete(hash);
    this.current = { candidate, version };
    this.enforced.push({ hash, version });
    return { warming: [] };
  }

  discard(hash: string): void {
    this.calls.push(`discard ${hash.slice(0, 8)}`);
    this.prepared.delete(hash);
  }

  relabel(version: Version): void {
    this.calls.push(`relabel ${formatVersion(version)}`);
    if (this.current) this.current = { candidate: this.current.candidate, version };
  }

  async applyEndpoints(update: EndpointUpdate): Promise<void> {
    await this.beforeEndpoints();
    this.calls.push(`endpoints ${update.sets.length} removed ${update.removed.length}`);
    this.endpointUpdates.push(update);
    this.hosts.grant(update);
    this.hosts.release(this.hosts.takeLeaving());
  }

  useTlsMaterial(material: TlsMaterial): Promise<void> {
    this.materials.push(material);
    return Promise.resolve();
  }

  async useFacts(update: FactUpdate): Promise<void> {
    await this.beforeFacts();
    this.facts.apply(update);
  }

  tap(_ask: TapAsk): Promise<TapAnswer> {
    return Promise.resolve({ requests: [], skipped: 0 });
  }

  sweepTaps(): void {}

  explainRequest(request: RequestQuestion): Promise<object> {
    return Promise.resolve({ request, route: 'recorded' });
  }

  describe(): Promise<object> {
    return Promise.resolve({ recording: true });
  }

  drain(deadlineMs: number): Promise<{ readonly cut: number }> {
    this.calls.push('drain');
    return this.onDrain(deadlineMs);
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  onHealth(handler: (report: HealthReport) => void): void {
    this.#healthHandler = handler;
  }

  onRelayed(handler: (failure: RefusalRecord) => void): void {
    this.#relayedHandler = handler;
  }

  onRefusal(handler: (refusal: RefusalRecord) => void): void {
    this.#refusalHandler = handler;
  }

  onWorkerDeath(): void {}

  onQuestion(): void {}

  readSeries(): readonly SeriesReading[] {
    return this.series;
  }

  readCallers(): ReadonlyMap<string, number> {
    return new Map();
  }

  readPolicyEvents(): ReadonlyMap<string, number> {
    return new Map();
  }

  overloadStage(): number {
    return 0;
  }

  takeSpans(): readonly [] {
    return [];
  }

  droppedSpans(): number {
    return 0;
  }

  takeStallMs(): number {
    return 0;
  }

  /** As if a worker had refused a request. */
  reportHealth(report: HealthReport): void {
    this.#healthHandler(report);
  }

  relay(failure: RefusalRecord): void {
    this.#relayedHandler(failure);
  }

  refuse(refusal: RefusalRecord): void {
    this.#refusalHandler(refusal);
  }
}
