import { systemClock, systemTimers } from '@remora/core/clock';
import { systemRandom } from '@remora/core/random';
import { apiRoutes } from './api/api-routes.ts';
import { createApiMetrics } from './api/api-metrics.ts';
import { createApiServer, refuseBeyondLoopback } from './api/server.ts';
import { createControlPlane, errorText } from './app.ts';
import type { ControlPlane } from './app.ts';
import { createProcessLog } from './process-log.ts';
import type { ProcessLog } from './process-log.ts';
import { startGrpcPushServer } from './push/grpc-push-server.ts';
import type { RunningGrpcPushServer } from './push/grpc-push-server.ts';
import type { ControlPlaneSettings } from './settings/control-plane-settings.ts';
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
  /** `127.0.0.1:8600`. */
  readonly api: string;
  readonly push: string;
  stop(): Promise<void>;
}

/** Opens the store, loads the state, and listens on both ports. Throws where one of these fails; nothing is left open then. */
export async function startControlPlane(settings: ControlPlaneSettings, output: { readonly log: (line: string) => void }): Promise<RunningControlPlane> {
  refuseBeyondLoopback(settings.apiHost);
  refuseBeyondLoopback(settings.pushHost);
  const log = createProcessLog({ level: settings.logLevel, clock: systemClock, write: output.log });
  const store = openStore(settings, log);
  const controlPlane = createControlPlane({
    store, log, clock: systemClock, timers: systemTimers, random: systemRandom, soon: setImmediate,
    retention: { minAgeMs: settings.retentionAgeMs, minEntries: settings.retentionRevisions },
  });
  const closers: (() => Promise<void>)[] = [() => controlPlane.stop()];
  const stop = async (): Promise<void> => {
    for (const close of closers.toReversed()) await close();
  };
  try {
    const metrics = createControlPlaneMetrics({ ...controlPlane, processMetrics: true });
    const apiMetrics = createApiMetrics(metrics.registry, { store, writePath: controlPlane.writePath, listeners: () => controlPlane.events.listeners() });
    const routes = apiRoutes({ ...controlPlane, version: productVersion, metricsText: () => metrics.text() });
    const api = createApiServer({ routes, observe: (seen) => apiMetrics.observe(seen), alarm: (error) => log.error('a request failed', { error: errorText(error) }) });
    closers.push(() => api.close());
    if (settings.otlpEndpoint !== '') {
      const { startOtlpMetrics } = await import('./telemetry/otlp-metrics.ts');
      const otlp = startOtlpMetrics({ endpoint: settings.otlpEndpoint, version: productVersion, registry: metrics.registry, clock: systemClock });
      closers.push(() => otlp.stop());
    }
    // The API answers /livez and /readyz while the state is loaded.
    const apiPort = await api.listen({ host: settings.apiHost, port: settings.apiPort });
    await controlPlane.start();
    const push = await listenForSidecars(controlPlane, settings);
    closers.push(() => push.close());
    return { controlPlane, api: hostPort(settings.apiHost, apiPort), push: hostPort(settings.pushHost, push.port), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listenForSidecars({ hub, telemetry }: ControlPlane, { pushHost: host, pushPort: port }: ControlPlaneSettings): Promise<RunningGrpcPushServer> {
  try {
    return await startGrpcPushServer({ hub, telemetry, host, port });
  } catch (error) {
    throw new StartError('port', (error as Error).message, { cause: error });
  }
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
