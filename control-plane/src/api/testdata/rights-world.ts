import { systemClock } from '@remora/core/clock';
import type { SubjectKey } from '@remora/core/subject';
import type { ControlPlaneIdentity } from '../../identity/control-plane-identity.ts';
import type { RoleGrant } from '../../operators/principal.ts';
import type { Role } from '../../operators/role.ts';
import { createMemoryStore } from '../../store/memory-store.ts';
import { startApi } from './api-fixture.ts';
import type { ApiFixture, FixtureAnswer } from './api-fixture.ts';

/** Twelve steps: more than tests promote. */
export function canaryOf(name: string, service: string): string {
  const steps = Array.from({ length: 11 }, (_, nth) => `{weight: ${nth + 1}, for: 1h}`).join(', ');
  return `kind: Canary\nname: ${name}\nservice: ${service}\nstable: {labels: {v: a}}\ncandidate: {labels: {v: b}}\nsteps: [${steps}, {weight: 100}]\ngates: {errorRate: {maxIncrease: 1%}}\n`;
}

/** A fleet where `orders` is what a scoped role is for, and everything with `hidden` in its name is somebody else's. */
export const worldYaml = `
kind: Service
name: orders
ports: {http: {port: 1, protocol: http}}
dependsOn: [payments]
---
kind: Service
name: payments
ports: {http: {port: 2, protocol: http}}
dependsOn: [hidden-ledger]
---
kind: Service
name: hidden-ledger
ports: {http: {port: 3, protocol: http}}
---
kind: Service
name: web
ports: {http: {port: 4, protocol: http}}
dependsOn: [orders, hidden-ledger]
---
kind: Gateway
name: hidden-edge
listeners: {http: {port: 0, protocol: http}}
---
kind: Route
name: hidden-route
gateway: hidden-edge
to: [{service: hidden-ledger}]
---
kind: Route
name: orders-list
service: orders
match: {path: {prefix: /orders}}
to: [{}]
---
kind: Policy
name: orders-policy
target: {service: orders}
timeout: {request: 3s}
---
kind: Policy
name: hidden-policy
target: {service: hidden-ledger}
timeout: {request: 4s}
---
kind: Policy
name: hidden-all
target: {services: {labels: {team: hidden-team}}}
timeout: {request: 5s}
---
kind: Policy
name: baseline
target: {}
timeout: {request: 9s}
`;

export interface RightsWorld {
  readonly api: ApiFixture;
  readonly identity: ControlPlaneIdentity;
  /** Tokens by what they are for, as `editor` or `editor of orders`. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly revisions: { readonly own: number; readonly foreign: number };
  call(token: string | null, method: Parameters<ApiFixture['call']>[0], url: string, options?: Parameters<ApiFixture['call']>[2]): Promise<FixtureAnswer>;
  close(): Promise<void>;
}

/** The world, with a token of each kind. */
export async function startRightsWorld(identity: ControlPlaneIdentity): Promise<RightsWorld> {
  const store = createMemoryStore({ clock: systemClock });
  const api = await startApi({ identity, store, operators: {} });
  const { operators } = api;
  if (!operators) throw new Error('the fixture has operators');
  const make = (name: string, role: Role, subjects: readonly SubjectKey[] | null): string => {
    const grant: RoleGrant = { role, scope: subjects && { subjects } };
    return operators.tokens.create({ name, grant, ttlMs: 3_600_000, author: 'test' }).text;
  };
  const tokens = {
    first: operators.first.make(),
    viewer: make('viewer', 'viewer', null), editor: make('editor', 'editor', null), admin: make('admin', 'admin', null),
    'viewer of orders': make('orders-viewer', 'viewer', ['service/orders']), 'editor of orders': make('orders-editor', 'editor', ['service/orders']),
  };
  const call: RightsWorld['call'] = (token, method, url, options = {}) =>
    api.call(method, url, { ...options, headers: { ...options.headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) } });
  const write = async (yaml: string, query = ''): Promise<number> => {
    const answer = await call(tokens.editor, 'POST', `/v1/apply${query}`, { body: yaml });
    if (answer.status !== 200) throw new Error(answer.text);
    return answer.body.revision.revision;
  };
  await write(worldYaml);
  await write(`${canaryOf('orders-canary', 'orders')}---\n${canaryOf('hidden-canary', 'hidden-ledger')}`);
  const own = await write('kind: Policy\nname: orders-policy\ntarget: {service: orders}\ntimeout: {request: 2s}\n');
  const foreign = await write('kind: Policy\nname: hidden-policy\ntarget: {service: hidden-ledger}\ntimeout: {request: 6s}\n', '?message=hidden-message');
  return {
    api, identity, tokens, revisions: { own, foreign }, call,
    async close() {
      await api.close();
    },
  };
}
