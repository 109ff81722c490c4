import { subjectKey } from '@remora/core/subject';
import { formatVersion } from '@remora/core/version';
import { decodeEndpointSet } from '@remora/snapshot/decode-endpoints';
import type { EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { RouteAction } from '@remora/snapshot/route-definition';
import type { ConfigClient } from '../config/config-client.ts';
import type { BoundListener, DataPlane, RequestQuestion } from '../threads/data-plane.ts';
import type { HealthRecord, HealthState } from '../health/health-record.ts';
import type { TapAnswer, TapAsk } from '../pipeline/request-taps.ts';
import type { KeptRefusal, RefusalRing } from '../telemetry/refusal-ring.ts';
import type { TelemetryStatus } from '../telemetry/telemetry-sender.ts';
import type { IssuerKeyStatus } from '../issuer-keys/issuer-key-keeper.ts';
import type { IdentityStatus } from '../identity/identity-keeper.ts';
import type { CertificateStatus } from '../tls/certificate-files.ts';

/** What a sidecar tells of itself: the admin interface and the questions of the control plane answer from here. */
export interface InspectionSources {
  readonly nodeId: string;
  readonly build: { readonly version: string; readonly id: string; readonly kinds: ReadonlyMap<string, number> };
  readonly client: ConfigClient;
  readonly dataPlane: DataPlane;
  readonly refusals: RefusalRing;
  readonly health: HealthRecord;
  readonly telemetry: () => TelemetryStatus | null;
  readonly listeners: () => readonly BoundListener[];
  readonly listenerProblem: () => string | null;
  readonly certificates: () => readonly CertificateStatus[];
  readonly issuerKeys: () => readonly IssuerKeyStatus[];
  /** null: without identity. */
  readonly identity: () => IdentityStatus | null;
  /** Where the app serves, by port. */
  readonly apps: ReadonlyMap<string, { readonly host: string; readonly port: number }>;
  readonly diskEncrypted: boolean;
  readonly appReady: () => boolean;
  /** Why it is not, in a few words. */
  readonly appProblem: () => string;
  readonly draining: () => boolean;
  readonly startedAtMs: number;
}

function identityView({ fromMs, endsMs, renewAtMs, roots, spiffeId, fingerprint, issuerRoot, problem, persisted }: IdentityStatus): object {
  const time = (ms: number): string | null => (ms > 0 ? isoTime(ms) : null);
  return { spiffeId, fingerprint, issuerRoot, problem, persisted, from: time(fromMs), ends: time(endsMs), renewal: time(renewAtMs), roots: roots.map((root) => ({ digest: root.digest, ends: isoTime(root.endsMs) })) };
}

function certificateView({ facts, loadedAtMs, ...rest }: CertificateStatus): object {
  return { ...rest, names: facts?.names ?? [], keyType: facts?.keyType ?? '', fingerprint: facts?.fingerprint ?? '', notAfter: facts && isoTime(facts.notAfterMs), loadedAt: loadedAtMs > 0 ? isoTime(loadedAtMs) : null };
}

/** At most this many items of any list are in one answer. */
export const itemsMax = 1_000;

export class Inspection {
  readonly #sources: InspectionSources;

  constructor(sources: InspectionSources) {
    this.#sources = sources;
  }

  /** Serving what it was told to serve, with an app that answers. The reason where not. */
  readiness(): { readonly ready: boolean; readonly why: string } {
    const { client, appReady, appProblem, draining, listenerProblem } = this.#sources;
    if (draining()) return { ready: false, why: 'draining' };
    if (!client.applied) return { ready: false, why: 'no configuration yet' };
    const problem = listenerProblem();
    if (problem !== null) return { ready: false, why: problem };
    return appReady() ? { ready: true, why: 'ready' } : { ready: false, why: appProblem() };
  }

  status(): object {
    const { client, build, nodeId, startedAtMs } = this.#sources;
    const { applied, link, lastRefusal, state, refusedHashes, persisted, diskAlarm } = client.status;
    const own = this.#sources.identity();
    return {
      nodeId,
      incarnation: client.incarnation,
      startedAt: isoTime(startedAtMs),
      build: { version: build.version, id: build.id, kinds: Object.fromEntries(build.kinds) },
      ...this.readiness(),
      appReady: this.#sources.appReady(),
      ...(!this.#sources.appReady() && { appProblem: this.#sources.appProblem() }),
      draining: this.#sources.draining(),
      controlPlane: { connected: link.connected, address: link.address, lastEnd: link.lastEnd, rejected: link.rejected, clockOffsetMs: link.clockOffsetMs },
      identity: own && identityView(own),
      apps: Object.fromEntries(this.#sources.apps),
      staleSince: link.staleSinceMs > 0 ? isoTime(link.staleSinceMs) : null,
      config: applied && {
        version: formatVersion(applied.version), hash: applied.candidate.hash, since: isoTime(applied.sinceMs), from: applied.origin, persisted,
        warming: [...applied.warming, ...this.#sources.issuerKeys().filter(({ ageSeconds }) => ageSeconds === null).map(({ issuer }) => `keys of ${issuer}`)],
      },
      state: { version: formatVersion(state.version), services: state.services, items: state.items, persisted: state.persisted },
      diskAlarm,
      diskEncrypted: this.#sources.diskEncrypted,
      stallMsMax: client.stallMsMax,
      lastRefusal: lastRefusal && { ...lastRefusal, version: formatVersion(lastRefusal.version), at: isoTime(lastRefusal.atMs), errors: lastRefusal.errors.slice(0, itemsMax) },
      refusedHashes: refusedHashes.slice(0, itemsMax),
      listeners: this.#sources.listeners(),
      issuerKeys: this.#sources.issuerKeys().slice(0, itemsMax),
      certificates: this.#sources.certificates().slice(0, itemsMax).map(certificateView),
      telemetry: this.#sources.telemetry(),
      refusals: this.#sources.refusals.total,
    };
  }

  /** What is enforced, without settings' contents. null: nothing yet. */
  snapshot(): object | null {
    const { applied } = this.#sources.client;
    if (!applied) return null;
    const { snapshot, version, candidate } = applied;
    return {
      subject: subjectKey(snapshot.subject),
      version: formatVersion(version),
      hash: candidate.hash,
      counts: {
        routes: snapshot.routes.length, destinations: snapshot.destinations.size, inbounds: snapshot.inbounds.size,
        listeners: snapshot.listeners.size, settings: snapshot.settings.size, resources: candidate.resources.size,
      },
      fleet: snapshot.fleet,
      inbounds: first(snapshot.inbounds.values()).map(({ settings, ...rest }) => ({ ...rest, kinds: kindsOf(settings) })),
      listeners: first(snapshot.listeners.values()).map(({ settings, ...rest }) => ({ ...rest, kinds: kindsOf(settings) })),
      destinations: first(snapshot.destinations.values()).map(({ settings, ...rest }) => ({ ...rest, kinds: kindsOf(settings) })),
      routes: first(snapshot.routes).map(({ id, priority, match, action, settings }) => ({ id, priority, match, ...actionView(action), kinds: kindsOf(settings) })),
    };
  }

  /** Addresses and sizes of what is enforced, from `after` on. */
  resources(after: string, limit: number): object | null {
    const { applied } = this.#sources.client;
    if (!applied) return null;
    const hashes = [...applied.candidate.resources.keys()].sort();
    const from = after === '' ? 0 : hashes.findIndex((hash) => hash > after);
    const page = from < 0 ? [] : hashes.slice(from, from + Math.min(limit, itemsMax));
    return {
      manifest: applied.candidate.hash,
      total: hashes.length,
      resources: page.map((hash) => ({ hash, bytes: applied.candidate.resources.get(hash)?.length ?? 0 })),
      next: page.length > 0 && page.at(-1) !== hashes.at(-1) ? page.at(-1) : null,
    };
  }

  /** Endpoints by service, and what the data threads make of them. */
  async state(): Promise<object> {
    const { client, dataPlane } = this.#sources;
    const services = [...client.endpointSets].slice(0, itemsMax).map(([service, bytes]) => {
      const decoded = decodeEndpointSet(bytes);
      const endpoints = decoded.ok ? decoded.set.endpoints : [];
      return {
        service,
        endpoints: endpoints.length,
        listed: endpoints.slice(0, itemsMax).map(({ ports, ...rest }) => ({ ...rest, ports: Object.fromEntries(ports) })),
      };
    });
    const { version } = client.status.state;
    return { version: formatVersion(version), services, dataPlane: await dataPlane.describe() };
  }

  route(question: RequestQuestion): Promise<object> {
    return this.#sources.dataPlane.explainRequest(question);
  }

  /** Requests that ended since the last look. */
  async tap(ask: TapAsk): Promise<TapAnswer> {
    return this.#sources.dataPlane.tap(ask);
  }

  /** What is held against destinations and hosts now, and the last changes. */
  troubles(limit: number): { readonly held: readonly HealthState[]; readonly events: readonly HealthState[]; readonly dropped: number } {
    const { health } = this.#sources;
    return { held: health.current(), events: health.newest(Math.min(limit, itemsMax)), dropped: health.dropped };
  }

  refusals(limit: number): { readonly total: number; readonly refusals: readonly KeptRefusal[] } {
    const { refusals } = this.#sources;
    return { total: refusals.total, refusals: refusals.newest(Math.min(limit, itemsMax)) };
  }

  /** What refused this request here; empty where nothing did, or it is too long ago. */
  why(requestId: string): { readonly nodeId: string; readonly refusals: readonly KeptRefusal[] } {
    return { nodeId: this.#sources.nodeId, refusals: this.#sources.refusals.of(requestId) };
  }
}

function first<T>(values: Iterable<T>): T[] {
  const list: T[] = [];
  for (const value of values) {
    if (list.length >= itemsMax) break;
    list.push(value);
  }
  return list;
}

/** Where a route sends, and what decides among several: chance, or a header. */
function actionView(action: RouteAction): object {
  if (action.kind !== 'forward') return { action: action.kind };
  const { targets, stickyHeader } = action;
  return { action: action.kind, to: targets, ...(stickyHeader !== '' && { sticky: { header: stickyHeader } }) };
}

function kindsOf(settings: EffectiveSettings): readonly string[] {
  return settings.sections.map(({ kind, shadow }) => (shadow ? `${kind} (shadow)` : kind));
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
