import { systemClock, systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { createControlPlane } from '../../app.ts';
import type { ControlPlane, ControlPlaneDeps } from '../../app.ts';
import { createProcessLog } from '../../process-log.ts';
import type { ControlPlaneIdentity } from '../../identity/control-plane-identity.ts';
import { createMemoryStore } from '../../store/memory-store.ts';
import type { Store } from '../../store/store.ts';
import { openGate } from '../../operators/gate.ts';
import { createOperators } from '../../operators/operators.ts';
import type { Operators, OperatorsDeps } from '../../operators/operators.ts';
import type { ApiRoute } from '../api-route.ts';
import { apiRoutes } from '../api-routes.ts';
import { createApiServer } from '../server.ts';
import type { ApiServer } from '../server.ts';
import { problemShape } from '../shapes/violation-shape.ts';

/** A whole control plane without ports, and its API. Every answer is checked against the shape that its route promises. */
export interface ApiFixture {
  readonly controlPlane: ControlPlane;
  readonly server: ApiServer;
  readonly routes: readonly ApiRoute[];
  /** null where the API asks nobody. */
  readonly operators: Operators | null;
  /** What was logged as a defect. */
  readonly alarms: readonly unknown[];
  call(method: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH', url: string, options?: { readonly body?: string | Uint8Array | object; readonly type?: string; readonly headers?: Readonly<Record<string, string>> }): Promise<FixtureAnswer>;
  /** Applies YAML; throws with the problem where it is refused. */
  apply(yaml: string, query?: string): Promise<FixtureBody>;
  close(): Promise<void>;
}

export interface FixtureAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>;
  readonly body: FixtureBody;
  readonly text: string;
}

/** JSON of an answer, as tests look into it. */
// oxlint-disable-next-line typescript/no-explicit-any -- tests compare answers of every shape; the shapes themselves are checked here.
export type FixtureBody = any;

export async function startApi(options: { readonly store?: Store; readonly start?: boolean; readonly identity?: ControlPlaneIdentity; readonly operators?: Partial<OperatorsDeps>; readonly discoverySources?: ControlPlaneDeps['discoverySources'] } = {}): Promise<ApiFixture> {
  const alarms: unknown[] = [];
  const store = options.store ?? createMemoryStore({ clock: systemClock });
  const controlPlane = createControlPlane({
    store, clock: systemClock, timers: systemTimers, random: seededRandom(1), soon: setImmediate,
    log: createProcessLog({ level: 'error', clock: systemClock, write: (line) => alarms.push(line) }),
    retention: { minAgeMs: 1, minEntries: 1_000 }, ...(options.discoverySources && { discoverySources: options.discoverySources }),
  });
  if (options.start !== false) await controlPlane.start();
  const operators = options.operators ? createOperators({ store, clock: systemClock, events: { admitted() {}, refused() {} }, users: null, login: null, ...options.operators }) : null;
  const routes = apiRoutes({ ...controlPlane, operators, identity: options.identity ?? null, version: '0.0.0', metricsText: async () => 'up 1\n' });
  const server = createApiServer({ routes, audit: controlPlane.audit, gate: operators?.gate ?? openGate(store), alarm: (error) => alarms.push(error) });
  await server.instance.ready();

  const call: ApiFixture['call'] = async (method, url, { body, type, headers } = {}) => {
    const payload = typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : body === undefined ? undefined : JSON.stringify(body);
    const contentType = type ?? (typeof body === 'object' && !(body instanceof Uint8Array) ? 'application/json' : 'application/yaml');
    const answer = await server.instance.inject({ method, url, ...(payload === undefined ? {} : { payload }), headers: { ...(payload === undefined ? {} : { 'content-type': contentType }), ...headers } });
    const json = /\bjson\b/.test(String(answer.headers['content-type']));
    const parsed: unknown = json && answer.body !== '' ? JSON.parse(answer.body) : undefined;
    checkShape(routes, method, url, answer.statusCode, parsed);
    return { status: answer.statusCode, headers: answer.headers, body: parsed as FixtureBody, text: answer.body };
  };
  return {
    controlPlane, server, routes, operators, alarms, call,
    async apply(yaml, query = '') {
      const answer = await call('POST', `/v1/apply${query}`, { body: yaml });
      if (answer.status !== 200) throw new Error(JSON.stringify(answer.body, null, 2));
      return answer.body;
    },
    async close() {
      await server.close();
      await controlPlane.stop();
    },
  };
}

/** Fails a test whose answer is not what OpenAPI says. */
function checkShape(routes: readonly ApiRoute[], method: string, url: string, status: number, body: unknown): void {
  if (status >= 400) {
    problemShape.parse(body);
    return;
  }
  const path = url.split('?', 1)[0] ?? '';
  const route = routes.find((one) => one.method === method && new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path));
  const answer = route?.answers[status];
  if (!answer) throw new Error(`${method} ${path} answered ${status}, which its route does not list`);
  answer.schema?.parse(body);
}
