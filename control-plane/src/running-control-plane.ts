import { systemClock, systemTimers } from '@remora/core/clock';
import { systemRandom } from '@remora/core/random';
import { apiRoutes } from './api/api-routes.ts';
import { createApiMetrics } from './api/api-metrics.ts';
import { isLoopbackHost } from './api/foreign-pages.ts';
import { createApiServer, refuseOpenApi } from './api/server.ts';
import { createControlPlane, errorText } from './app.ts';
import type { ControlPlane } from './app.ts';
import type { ApiCertificate } from './operators/api-certificate.ts';
import { openGate } from './operators/gate.ts';
import { createOperatorMetrics } from './operators/operator-metrics.ts';
import { startOperators } from './operators/start-operators.ts';
import { createCanaryMetrics } from './rollout/canary-metrics.ts';
import { createDiscoveryMetrics } from './discovery/discovery-metrics.ts';
import { openSources } from './discovery/open-sources.ts';
import { createProcessLog } from './process-log.ts';
import type { ProcessLog } from './process-log.ts';
import { startGrpcPushServer } from './push/grpc-push-server.ts';
import type { RunningGrpcPushServer } from './push/grpc-push-server.ts';
import type { ControlPlaneIdentity } from './identity/control-plane-identity.ts';
import type { RunningEnrolmentServer } from './identity/grpc-enrolment-server.ts';
import type { Registry } from 'prom-client';
import type { ApiTls, ControlPlaneSettings, IdentitySettings } from './settings/control-plane-settings.ts';
import { createSecretMetrics } from './secrets/secret-metrics.ts';
import { openSecrets, type OpenSecrets } from './secrets/open-secrets.ts';
import { databasePath } from './store/backup.ts';
import { createMemoryStore } from './store/memory-store.ts';
import { openSqliteStore } from './store/sqlite-store.ts';
import type { Store } from './store/store.ts';
import { productVersion } from './product-version.ts';
import { StartError } from './start-error.ts';
import { createControlPlaneMetrics } from './telemetry/control-plane-metrics.ts';

/** A control plane that listens. */
export interface RunningControlPlane {
  readonly controlPlane: ControlPlane;
  /** null: off. */
  readonly identity: ControlPlaneIdentity | null;
  /** `127.0.0.1:8600`. */
  readonly api: string;
  readonly push: string;
  /** '' without identity. */
  readonly enrolment: string;
  /** The token that makes the first tokens, to be shown this once; '' at every start but the first. */
  readonly firstToken: string;
  stop(): Promise<void>;
}

/** Opens the store, loads the state, and listens on both ports. Throws where one of these fails; nothing is left open then. */
export async function startControlPlane(settings: ControlPlaneSettings, output: { readonly log: (line: string) => void }): Promise<RunningControlPlane> {
  refuseOpenApi(settings.apiHost, { tls: settings.operators.tls.kind !== 'off', tokens: settings.operators.authentication === 'tokens' });
  if (!settings.identity) refuseOpenPush(settings.pushHost);
  const log = createProcessLog({ level: settings.logLevel, clock: systemClock, write: output.log });
  const store = openStore(settings, log);
  const identity = await openIdentity(settings, store, log);
  const secrets = await openSecretsOf(settings, store);
  const controlPlane = createControlPlane({
    ...(identity && { nodeIdentity: identity.nodeIdentity, items: identity.items }),
    hasIdentity: settings.identity !== null,
    store, log, clock: systemClock, timers: systemTimers, random: systemRandom, soon: setImmediate,
    retention: { minAgeMs: settings.retentionAgeMs, minEntries: settings.retentionRevisions }, auditAgeMs: settings.auditRetentionMs,
    discoverySources: await openSources(settings.discovery, { clock: systemClock, timers: systemTimers, random: systemRandom, environment: process.env }),
    sealer: secrets.sealer, secretSources: secrets.sources, secretEveryMs: settings.secrets.refreshMs,
  });
  const closers: (() => Promise<void>)[] = [() => secrets.close(), () => controlPlane.stop(), async () => identity?.close()];
  const stop = async (): Promise<void> => {
    for (const close of closers.toReversed()) await close();
  };
  try {
    const metrics = createControlPlaneMetrics({ ...controlPlane, processMetrics: true });
    createSecretMetrics(metrics.registry, controlPlane);
    createDiscoveryMetrics(metrics.registry, controlPlane.discovery, systemClock);
    createCanaryMetrics(metrics.registry, controlPlane.canaryBook);
    const apiMetrics = createApiMetrics(metrics.registry, { store, writePath: controlPlane.writePath, listeners: () => controlPlane.events.listeners(), taps: controlPlane.taps });
    if (identity) await connectIdentity(identity, controlPlane, metrics.registry);
    const operators = settings.operators.authentication === 'tokens' ? await startOperators(settings.operators, { ...controlPlane, log }) : null;
    if (operators) closers.push(async () => operators.close());
    const certificate = await apiCertificate(settings.operators.tls, identity, log);
    if (certificate) closers.push(async () => certificate.close());
    createOperatorMetrics(metrics.registry, { operators, certificate, audit: controlPlane.audit, store });
    const routes = apiRoutes({ ...controlPlane, identity, operators, version: productVersion, metricsText: () => metrics.text() });
    const api = createApiServer({
      routes, certificate, audit: controlPlane.audit, gate: operators?.gate ?? openGate(store), ...(operators && { onForbidden: (refused) => operators.onForbidden(refused) }),
      observe: (seen) => apiMetrics.observe(seen), alarm: (error) => log.error('a request failed', { error: errorText(error) }),
    });
    closers.push(() => api.close());
    if (settings.otlpEndpoint !== '') {
      const { startOtlpMetrics } = await import('./telemetry/otlp-metrics.ts');
      const otlp = startOtlpMetrics({ endpoint: settings.otlpEndpoint, version: productVersion, registry: metrics.registry, clock: systemClock });
      closers.push(() => otlp.stop());
    }
    // The API answers /livez and /readyz while the state is loaded.
    const apiPort = await api.listen({ host: settings.apiHost, port: settings.apiPort });
    await controlPlane.start();
    const push = await listenForSidecars(controlPlane, settings, identity);
    closers.push(() => push.close());
    const enrolment = identity && settings.identity ? await listenForEnrolment(identity, settings.identity, log) : null;
    if (enrolment) closers.push(() => enrolment.close());
    return {
      controlPlane, identity, stop, firstToken: operators?.makeFirstToken() ?? '', api: hostPort(settings.apiHost, apiPort), push: hostPort(settings.pushHost, push.port),
      enrolment: enrolment && settings.identity ? hostPort(settings.identity.enrolmentHost, enrolment.port) : '',
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listenForSidecars({ hub, telemetry }: ControlPlane, { pushHost: host, pushPort: port }: ControlPlaneSettings, identity: ControlPlaneIdentity | null): Promise<RunningGrpcPushServer> {
  try {
    if (!identity) return await startGrpcPushServer({ hub, telemetry, host, port });
    const { serverCredentials } = await import('./identity/server-credentials.ts');
    return await startGrpcPushServer({ hub, telemetry, host, port, credentials: serverCredentials(identity.server, 'verified') });
  } catch (error) {
    throw new StartError('port', (error as Error).message, { cause: error });
  }
}

async function openSecretsOf(settings: ControlPlaneSettings, store: Store): Promise<OpenSecrets> {
  try {
    return await openSecrets(settings.secrets, { durable: settings.store === 'sqlite', environment: process.env, clock: systemClock });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** null where the settings have none. What it needs is loaded only then. */
async function openIdentity(settings: ControlPlaneSettings, store: Store, log: ProcessLog): Promise<ControlPlaneIdentity | null> {
  if (!settings.identity) return null;
  const { startIdentity } = await import('./identity/start-identity.ts');
  try {
    return startIdentity(settings.identity, { store, log, clock: systemClock, timers: systemTimers, random: systemRandom, soon: setImmediate, durable: settings.store === 'sqlite' });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** The trust domain follows the Mesh document, as far as it may; what is revoked ends streams; and what sidecars hold decides how the authority may roll. */
async function connectIdentity(identity: ControlPlaneIdentity, { writePath, store, hub }: ControlPlane, registry: Registry): Promise<void> {
  const [{ meshTrustDomain }, { createIdentityMetrics }] = await Promise.all([import('./identity/control-plane-identity.ts'), import('./identity/identity-metrics.ts')]);
  createIdentityMetrics(registry, identity, systemClock);
  identity.rotation.observe((nodeId) => hub.sidecar(nodeId));
  identity.revocations.onChange(() => {
    const revoked = new Set(identity.revocations.list().map(({ subject, nodeId }) => `${subject}/${nodeId}`));
    hub.recheck((nodeId, subject) => revoked.has(`${subject}/${nodeId}`) || revoked.has(`${subject}/`));
  });
  writePath.onCommitted(({ changes }) => {
    if (changes.some(({ key }) => key === 'Mesh/mesh')) identity.keeper.followMesh(meshTrustDomain(store));
  });
}

async function listenForEnrolment(identity: ControlPlaneIdentity, { enrolmentHost: host, enrolmentPort: port }: IdentitySettings, log: ProcessLog): Promise<RunningEnrolmentServer> {
  const { startEnrolmentServer } = await import('./identity/grpc-enrolment-server.ts');
  try {
    return await startEnrolmentServer({ enrolment: identity.enrolment, certificate: identity.server, host, port, alarm: (error) => log.error('an enrolment failed', { error: errorText(error) }) });
  } catch (error) {
    throw new StartError('port', (error as Error).message, { cause: error });
  }
}

/** What the API shows; null without TLS. */
async function apiCertificate(tls: ApiTls, identity: ControlPlaneIdentity | null, log: ProcessLog): Promise<ApiCertificate | null> {
  if (tls.kind === 'off') return null;
  if (tls.kind === 'ca') return identity && { get material() { return identity.server.material; }, problem: '', subscribe: (listener) => identity.server.subscribe(listener), close() {} };
  const { certificateFromFiles } = await import('./operators/api-certificate.ts');
  return certificateFromFiles(tls, { clock: systemClock, timers: systemTimers, log });
}

/** Without identity sidecars are believed what they say. */
function refuseOpenPush(host: string): void {
  if (!isLoopbackHost(host)) throw new StartError('refused', `refusing to listen on ${host}: without --identity mtls everybody who reaches the push port gets any sidecar's snapshot; use 127.0.0.1`);
}

function openStore(settings: ControlPlaneSettings, log: ProcessLog): Store {
  if (settings.store === 'memory') return createMemoryStore({ clock: systemClock });
  return openSqliteStore({
    path: databasePath(settings.dataDir), clock: systemClock, timers: systemTimers,
    alarm: (error) => log.error('the store could not write', { error: errorText(error) }),
  });
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
