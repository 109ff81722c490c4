import type { Timer } from '@remora/core/clock';
import type { Query } from '@remora/proto/gen/remora/push/v1/push';
import { buildIdentity } from '@remora/snapshot/build';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { startAdminServer } from './admin/admin-server.ts';
import { startHealthServer } from './admin/health-server.ts';
import type { ListeningServer } from './admin/listening-server.ts';
import { Inspection } from './admin/inspection.ts';
import { renderMetrics, type MetricSources, type SpanCounts } from './admin/metrics.ts';
import { AppReadiness } from './config/app-readiness.ts';
import type { AppliedConfig } from './config/applied-config.ts';
import { ConfigClient } from './config/config-client.ts';
import type { LinkStatus } from './config/control-link.ts';
import { GatewayListeners } from './config/gateway-listeners.ts';
import { advertisedPorts, planListeners } from './config/listener-plan.ts';
import { TroubleLog } from './config/trouble-log.ts';
import { unreachableTcp } from './config/unreachable-tcp.ts';
import { identityItemChecks } from './identity/identity-item-checks.ts';
import type { IdentityKeeper } from './identity/identity-keeper.ts';
import type { WorkloadFeed } from './identity/workload-feed.ts';
import type { BoundListener, DataPlane, RefusalRecord, RequestQuestion } from './threads/data-plane.ts';
import { PolicyHelpers } from './helpers/policy-helpers.ts';
import { joinHostPort } from './settings/build-settings.ts';
import type { SidecarSettings } from './settings/sidecar-settings.ts';
import type { Connectors, SidecarEnvironment } from './sidecar-environment.ts';
import { answerQuery } from './telemetry/query-answers.ts';
import { noTracer } from './telemetry/operation-tracer.ts';
import type { OtlpExport } from './telemetry/otlp-export.ts';
import { hostOrdersKind } from '@remora/policy-kit/host-orders';
import { AppChecks } from './health/app-checks.ts';
import { HealthChecker } from './health/health-checker.ts';
import type { HealthProbe } from './health/health-probe.ts';
import { HealthRecord, type HealthState } from './health/health-record.ts';
import { HostOrderKeeper } from './health/host-order-keeper.ts';
import { RefusalRing, type KeptRefusal } from './telemetry/refusal-ring.ts';
import { TelemetrySender } from './telemetry/telemetry-sender.ts';
import { CrlFiles } from './tls/crl-files.ts';
import { CertificateFiles, type CertificateStatus } from './tls/certificate-files.ts';

/** One running sidecar: the composition root. What starts in which order, and why there, is in `start`. */
export class Sidecar {
  readonly #settings: SidecarSettings;
  readonly #environment: SidecarEnvironment;
  readonly #dataPlane: DataPlane;
  readonly #refusals = new RefusalRing();
  readonly #held: HealthRecord;
  #tapEnd: Timer | null = null;
  readonly #hostOrders: HostOrderKeeper;
  readonly #checker: HealthChecker;
  #probe: Promise<HealthProbe> | null = null;
  readonly #troubles: TroubleLog;
  readonly #readiness: AppReadiness;
  readonly #appChecks: AppChecks;
  /** What was said of the app last. */
  #appWas = false;
  readonly #gateway: GatewayListeners;
  readonly #certificates: CertificateFiles;
  readonly #crls: CrlFiles;
  /** null: policies that need somebody outside get no answer. */
  readonly #helpers: PolicyHelpers | null;
  readonly #client: ConfigClient;
  readonly #inspection: Inspection;
  readonly #configured = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #servicePorts: readonly BoundListener[] = [];
  #admin: ListeningServer | null = null;
  #health: ListeningServer | null = null;
  #sender: TelemetrySender | null = null;
  #otlp: OtlpExport | null = null;
  #connectors: Connectors | null = null;
  #identity: IdentityKeeper | null = null;
  #workload: WorkloadFeed | null = null;
  #advertisedNames = '';
  #draining: Promise<void> | null = null;
  #threadDeaths = 0;

  /** Rejects with one sentence where a port cannot be bound; then nothing is left running. */
  static async start(settings: SidecarSettings, environment: SidecarEnvironment): Promise<Sidecar> {
    // Data threads first: what is on disk is prepared in them.
    const sidecar = new Sidecar(settings, environment, await environment.startDataPlane());
    try {
      // Who this workload is, before what it enforces: nothing is served as somebody else.
      await sidecar.#loadIdentity();
      // The last good snapshot and endpoints, before any port is open: the first request is answered by them.
      await sidecar.#restore();
      // From here on requests are answered, with or without a control plane.
      await sidecar.#bindPorts();
      // Admin after the ports, so that ready never says more than is true.
      await sidecar.#startAdmin();
      // The control plane last: nothing above waits for it.
      await sidecar.#connect();
    } catch (error) {
      await sidecar.#end();
      throw error;
    }
    return sidecar;
  }

  private constructor(settings: SidecarSettings, environment: SidecarEnvironment, dataPlane: DataPlane) {
    this.#settings = settings;
    this.#environment = environment;
    this.#dataPlane = dataPlane;
    this.#troubles = new TroubleLog(environment.log);
    const { clock, timers, random, log, kinds, nodeId, disk, pause, processFacts, probeApp } = environment;
    const build = buildIdentity(environment.version, kinds.values());
    this.#held = new HealthRecord(clock, (state) => this.#onHealth(state));
    this.#hostOrders = new HostOrderKeeper({ hosts: dataPlane.hosts, record: this.#held, clock });
    this.#checker = new HealthChecker({ hosts: dataPlane.hosts, record: this.#held, clock, timers, random, probe: { ask: async (question) => (await this.#healthProbe()).ask(question) } });
    dataPlane.onHealth((report) => this.#held.report(report));
    dataPlane.onRefusal((refusal) => this.#onRefusal(refusal));
    dataPlane.onRelayed((failure) => this.#onRelayed(failure));
    dataPlane.onWorkerDeath((worker, cause) => this.#onWorkerDeath(worker, cause));
    this.#readiness = new AppReadiness({ apps: [...settings.apps.values()], probe: probeApp, timers, onChange: () => this.#onApp() });
    this.#appChecks = new AppChecks({
      apps: settings.apps, record: this.#held, timers, random, probe: { ask: async (question) => (await this.#healthProbe()).ask(question) },
      wasReady: () => this.#readiness.ready, onChange: () => this.#onApp(),
    });
    this.#gateway = new GatewayListeners({ settings, dataPlane, timers, log, onBound: () => this.#announce() });
    this.#certificates = new CertificateFiles({ useTlsMaterial: (material) => dataPlane.useTlsMaterial(material), clock, timers, log });
    this.#crls = new CrlFiles({ useFacts: (update) => dataPlane.useFacts(update), clock, timers, log });
    this.#helpers = environment.helpers === undefined ? null : new PolicyHelpers({
      ...environment.helpers, dataPlane, clock, timers, random, log,
      onEvent: (kind, message, attributes) => this.#sender?.event(kind, message, attributes),
      onWarming: () => this.#client.beat(),
    });
    this.#client = new ConfigClient({
      ...(this.#helpers && { issuerKeys: this.#helpers }),
      build, kinds, dataPlane, clock, timers, random, disk, pause, processFacts, addresses: settings.controlPlanes, itemChecks: identityItemChecks,
      instance: {
        nodeId, subject: settings.subject, labels: settings.labels, locality: settings.locality, protocols: ['http/1.1', 'h2c'], mtls: settings.identity !== null && settings.subject.kind === 'service',
        advertised: () => this.#advertised(this.#client.applied),
        appReady: () => this.#appReady,
        appProblem: () => this.#appProblem,
      },
      // Files before ports: a port opens when it can be served.
      reach: async (next) => (await this.#certificates.reach(next)) ?? (await this.#crls.reach(next)) ?? (await this.#reachIssuers(next)) ?? this.#gateway.reach(next),
      tracer: { begin: (name, attributes) => (this.#otlp?.tracer ?? noTracer).begin(name, attributes) },
      onApplied: (applied) => this.#onApplied(applied),
      onRefusal: ({ class: refusalClass, hash, errors }) => {
        const listed = errors.slice(0, 20).map((each) => `${each.resource} ${each.kind}${each.pointer}: ${each.message}`);
        log.warn('a snapshot was refused', { class: refusalClass, hash, errors: listed });
        this.#sender?.event('snapshot-refused', listed.join('; '), { class: refusalClass, hash });
      },
      onLink: (status) => this.#onLink(status),
      onControlPlaneTime: (aheadMs) => this.#hostOrders.useTime(aheadMs),
      onDisk: ({ alarm }) => this.#troubles.disk(alarm),
    });
    this.#client.onItem('secret', (secrets) => {
      this.#certificates.useSecrets(secrets);
      this.#helpers?.useSecrets(secrets);
    });
    this.#client.onItem(hostOrdersKind, (orders) => this.#hostOrders.use(orders));
    this.#inspection = new Inspection({
      nodeId, build, dataPlane, client: this.#client, refusals: this.#refusals, health: this.#held, startedAtMs: clock.wallMs(),
      listeners: () => this.listeners,
      telemetry: () => this.#sender?.status ?? null,
      listenerProblem: () => this.#gateway.problem,
      certificates: () => this.#certificateStatus,
      issuerKeys: () => this.#helpers?.keys ?? [],
      appReady: () => this.#appReady,
      appProblem: () => this.#appProblem,
      draining: () => this.#draining !== null,
      identity: () => this.#identity?.status ?? null,
      apps: settings.apps,
      diskEncrypted: settings.diskKey !== null,
    });
  }

  get client(): ConfigClient {
    return this.#client;
  }

  get inspection(): Inspection {
    return this.#inspection;
  }

  get listeners(): readonly BoundListener[] {
    return [...this.#servicePorts, ...this.#gateway.bound];
  }

  /** `HOST:PORT` of the admin interface. */
  get admin(): string {
    return this.#admin ? joinHostPort(this.#admin.address) : '';
  }

  /** Resolves when there is something to enforce. */
  get configured(): Promise<void> {
    return this.#configured.promise;
  }

  /** Resolves when everything has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Leaves the mesh, finishes what is in flight, ends everything. Calling it again answers the same. */
  drain(): Promise<void> {
    this.#draining ??= this.#drainAndEnd();
    return this.#draining;
  }

  /** Ends at once what runs, without draining. */
  async stop(): Promise<void> {
    this.#draining ??= this.#end();
    await this.#draining;
  }

  async #loadIdentity(): Promise<void> {
    const { loadIdentity, log } = this.#environment;
    if (!loadIdentity) return;
    const { WorkloadFeed: Feed } = await import('./identity/workload-feed.ts');
    this.#identity = await loadIdentity();
    this.#workload = new Feed({ keeper: this.#identity, dataPlane: this.#dataPlane, log });
    await this.#workload.start();
  }

  async #restore(): Promise<void> {
    const { log } = this.#environment;
    await this.#helpers?.restore();
    const { from, problems } = await this.#client.restore();
    this.#workload?.follow(this.#client);
    const { applied } = this.#client;
    if (applied !== null) {
      await this.#certificates.follow(applied.snapshot);
      await this.#crls.follow(applied.snapshot);
      await this.#helpers?.follow(applied.snapshot);
    }
    for (const { file, code, message } of problems) log.error('a stored file cannot be used', { file, code, cause: message });
    if (from === 'nothing') log.info('nothing to enforce is on disk');
    else log.info('enforcing what is on disk', { generation: from });
  }

  /** At the start nobody outside is waited for: what the disk has serves at once. */
  async #reachIssuers(next: Snapshot): Promise<null> {
    return this.#admin === null || this.#helpers === null ? null : this.#helpers.reach(next);
  }

  /** A service's ports are fixed by its settings, a Gateway's follow its snapshot. */
  async #bindPorts(): Promise<void> {
    if (this.#settings.subject.kind === 'service') this.#servicePorts = await this.#dataPlane.listen(planListeners(this.#settings, null));
    else await this.#gateway.follow(this.#client.applied?.snapshot ?? null);
  }

  async #startAdmin(): Promise<void> {
    const { settings, inspection } = { settings: this.#settings, inspection: this.#inspection };
    this.#admin = await startAdminServer({
      address: settings.admin, allowRemote: settings.adminAllowRemote, inspection, defaultSide: this.#ownSide,
      metrics: () => renderMetrics(this.#metricSources()),
      drain: () => void this.drain(),
    });
    if (settings.health !== null) this.#health = await startHealthServer({ address: settings.health, readiness: () => inspection.readiness() });
    this.#announce();
  }

  async #connect(): Promise<void> {
    const { loadConnectors, clock, timers, random, nodeId } = this.#environment;
    const connectors = await loadConnectors(this.#identity);
    if (this.#draining) return connectors.close?.();
    this.#connectors = connectors;
    const { control, telemetry } = connectors;
    this.#advertisedNames = this.#namesAdvertised(this.#client.applied);
    // Telemetry has a connection of its own, so that it never delays an acknowledgement.
    this.#sender = new TelemetrySender({
      connector: telemetry, clock, timers, random, intervalMs: this.#settings.telemetryIntervalMs,
      node: { nodeId, incarnation: this.#client.incarnation, subject: this.#settings.subject },
      address: () => (this.#client.status.link.connected ? this.#client.status.link.address : null),
      readSeries: () => this.#dataPlane.readSeries(),
      readCallers: () => this.#dataPlane.readCallers(),
      readHealth: () => ({ current: this.#held.current(), dropped: this.#held.dropped }),
      answer: (query) => this.#answer(query),
    });
    this.#sender.start();
    this.#client.connect(control);
    await this.#startOtlp();
  }

  async #startOtlp(): Promise<void> {
    const { otlpEndpoint, otlpSpans, subject, telemetryIntervalMs } = this.#settings;
    if (otlpEndpoint === '') return;
    const { nodeId, version, clock, timers, log } = this.#environment;
    const { startOtlpExport } = await import('./telemetry/otlp-export.ts');
    this.#otlp = startOtlpExport({
      endpoint: otlpEndpoint, nodeId, subject, version, clock, timers, intervalMs: telemetryIntervalMs, metrics: this.#metricSources(),
      spans: otlpSpans, takeSpans: (max) => this.#dataPlane.takeSpans(max),
      onTrouble: (cause) => {
        if (cause === null) log.info('the collector takes spans again');
        else log.warn('the collector does not take spans; they are dropped and counted', { cause });
      },
    });
  }

  #metricSources(): MetricSources {
    return {
      readSeries: () => this.#dataPlane.readSeries(),
      configStatus: () => this.#client.status,
      telemetry: () => this.#sender?.status ?? null,
      appReady: () => this.#appReady,
      rssBytes: () => this.#environment.processFacts.rssBytes(),
      refusalCount: () => this.#refusals.total,
      health: () => this.#held,
      policyEvents: () => this.#dataPlane.readPolicyEvents(),
      threadDeaths: () => this.#threadDeaths,
      certificates: () => this.#certificateStatus,
      issuerKeys: () => this.#helpers?.keys ?? [],
      spans: () => this.#spanCounts,
      overloadStage: () => this.#dataPlane.overloadStage(),
    };
  }

  /** Those of documents, and this sidecar's own. */
  get #certificateStatus(): readonly CertificateStatus[] {
    const own = this.#connectors?.certificate?.();
    return [...(own ? [own] : []), ...this.#certificates.status, ...this.#crls.status];
  }

  get #spanCounts(): SpanCounts | null {
    const spans = this.#otlp?.requestSpans ?? null;
    return spans === null ? null : { exported: spans.exported, dropped: this.#dataPlane.droppedSpans(), failed: spans.failed };
  }

  #onApplied(applied: AppliedConfig): void {
    this.#configured.resolve();
    this.#checker.follow(applied.snapshot);
    this.#appChecks.follow(applied.snapshot);
    this.#held.keepServices(new Set([this.#settings.subject.name, ...[...applied.snapshot.destinations.values()].map(({ service }) => service)]));
    this.#troubles.unreachable(unreachableTcp(this.#settings, applied.snapshot));
    // At the start ports are bound after the restore, not from within it.
    if (this.#admin) {
      void this.#gateway.follow(applied.snapshot);
      void this.#certificates.follow(applied.snapshot);
      void this.#crls.follow(applied.snapshot).catch((error: unknown) => this.#environment.log.error('the data threads were not told about revoked certificates', { cause: String(error) }));
      void this.#helpers?.follow(applied.snapshot);
    }
    if (this.#advertisedNames === '' || this.#namesAdvertised(applied) === this.#advertisedNames) return;
    // A bare --inbound takes the name of the Service's only port, and a port may take mTLS no more: once that is known, Hello is said again.
    this.#advertisedNames = this.#namesAdvertised(applied);
    this.#client.renewHello();
  }

  #onLink(status: LinkStatus): void {
    if (status.rejected?.code === 'certificate-revoked') this.#identity?.doubt();
    this.#troubles.link(status);
    if (status.connected) this.#sender?.contact();
  }

  /** It accepts connections, and is well where the service says how to ask. */
  get #appReady(): boolean {
    return this.#readiness.ready && this.#appChecks.well;
  }

  get #appProblem(): string {
    return this.#readiness.ready ? this.#appChecks.problem : 'the app does not accept connections';
  }

  #onApp(): void {
    const ready = this.#appReady;
    if (ready === this.#appWas) return;
    this.#appWas = ready;
    if (ready) this.#environment.log.info('the app is ready');
    else this.#environment.log.info('the app is not ready', { cause: this.#appProblem });
    this.#client.beat();
  }

  #healthProbe(): Promise<HealthProbe> {
    return (this.#probe ??= this.#environment.loadHealthProbe(() => this.#identity?.current ?? null, (path) => this.#certificates.text(path)));
  }

  #onHealth({ kind, event, service, host, pointer, policy, detail }: HealthState): void {
    this.#sender?.event(event, `${kind}: ${host === '' ? service : `${host} of ${service}`} ${event}${detail && ` (${detail})`}`, { kind, service, host, pointer, policy, detail });
  }

  #answer(query: Query): Promise<string> {
    // Whoever looked at requests may have gone: then they cost nothing again.
    if (query.question?.$case === 'inspect' && query.question.value.what === 'tap') {
      this.#tapEnd?.cancel();
      this.#tapEnd = this.#environment.timers.after(tapPatienceMs, () => this.#dataPlane.sweepTaps());
    }
    return answerQuery(query, this.#inspection, this.#ownSide, (asked) => this.#helpers?.readCounts(asked) ?? Promise.reject(new Error('this sidecar has no store')));
  }

  #onRefusal(refusal: RefusalRecord): void {
    const kept = this.#withHeld(refusal);
    this.#refusals.add(kept);
    this.#sender?.refusal(kept);
  }

  #onRelayed(failure: RefusalRecord): void {
    const kept = this.#withHeld(failure);
    this.#refusals.addRelayed(kept);
    this.#sender?.refusal(kept);
  }

  /** Ejections and breakers are told by the data threads before the refusals that they caused. */
  #withHeld(refusal: RefusalRecord): KeptRefusal {
    const held = this.#held.heldAgainst(refusal.side === 'inbound' ? this.#settings.subject.name : refusal.destination);
    return held.length === 0 ? refusal : { ...refusal, held };
  }

  #onWorkerDeath(worker: number, cause: string): void {
    this.#threadDeaths++;
    this.#environment.log.error('a data thread died', { worker, cause });
    this.#sender?.event('worker-died', cause, { worker: String(worker) });
  }

  /** Callers first: they stop choosing this instance while it still answers; then what is in flight. */
  async #drainAndEnd(): Promise<void> {
    const { log, timers } = this.#environment;
    const { drainDelayMs, drainTimeoutMs } = this.#settings;
    log.info('draining');
    const stragglers = await this.#client.leave(Math.min(barrierMs, drainTimeoutMs));
    if (stragglers === null) await new Promise<void>((resolve) => void timers.after(drainDelayMs, resolve));
    else if (stragglers.length > 0) log.warn('some callers did not confirm that this instance leaves', { callers: stragglers });
    const { cut } = await this.#dataPlane.drain(drainTimeoutMs);
    if (cut > 0) log.warn('requests were cut at the end of drain-timeout', { requests: cut });
    this.#sender?.flush();
    await this.#end();
    log.info('drained');
  }

  async #end(): Promise<void> {
    this.#readiness.stop();
    this.#appChecks.close();
    this.#gateway.close();
    this.#certificates.close();
    this.#crls.close();
    await this.#helpers?.close();
    this.#sender?.stop();
    await this.#otlp?.stop();
    await this.#client.close();
    this.#workload?.close();
    this.#checker.close();
    this.#hostOrders.close();
    this.#identity?.close();
    this.#connectors?.close?.();
    await this.#admin?.close();
    await this.#health?.close();
    this.#tapEnd?.cancel();
    await this.#dataPlane.close();
    this.#ended.resolve();
  }

  /** A line whenever ports are bound: `{"event":"listening","admin":"127.0.0.1:15000","inbound/http":"127.0.0.1:15006",…}`. */
  #announce(): void {
    if (!this.#admin) return;
    const ports = Object.fromEntries(this.listeners.map((listener) => [listener.name, joinHostPort(listener)]));
    const { nodeId, announce } = this.#environment;
    const { kind, name } = this.#settings.subject;
    announce({ event: 'listening', nodeId, subject: `${kind}/${name}`, pid: process.pid, admin: this.admin, ...(this.#health && { health: joinHostPort(this.#health.address) }), ...ports });
  }

  #advertised(applied: AppliedConfig | null): ReturnType<typeof advertisedPorts> {
    return advertisedPorts(this.#settings, this.#servicePorts, applied?.snapshot ?? null, this.#environment.ownAddress());
  }

  #namesAdvertised(applied: AppliedConfig | null): string {
    // Without asking the system for its addresses, which takes 0.3 ms: this runs at each edit.
    return advertisedPorts(this.#settings, this.#servicePorts, applied?.snapshot ?? null, '').map(({ name, plaintext }) => (plaintext ? `${name}!` : name)).join();
  }

  get #ownSide(): RequestQuestion['side'] {
    return this.#settings.subject.kind === 'gateway' ? 'gateway' : 'inbound';
  }
}

/** The control plane waits at most 10 s for callers; a little longer here. */
const barrierMs = 11_000;
/** Longer than a tap is kept without a look. */
const tapPatienceMs = 6_000;
