import type { VirtualWorld } from './virtual-world.ts';

/** One apply: YAML, and whether the control plane must refuse it. */
export interface Edit {
  readonly yaml: string;
  readonly refused: boolean;
}

export const services = ['web', 'orders', 'payments'] as const;

export const initialDocuments = `
kind: Service
name: web
ports: {http: {port: 80, protocol: http}}
dependsOn: [orders, ledger, stock]
---
kind: Service
name: orders
ports: {http: {port: 80, protocol: http}}
dependsOn: [payments, ledger]
---
kind: Service
name: payments
ports: {http: {port: 80, protocol: http}}
---
kind: Service
name: ledger
ports: {http: {port: 80, protocol: http}}
discovery: {source: consul}
---
kind: Service
name: stock
ports: {http: {port: 80, protocol: http}}
discovery: {source: dns, dns: {name: stock.example}}
---
kind: Gateway
name: edge
listeners: {plain: {port: 8080}}
---
kind: Route
name: all
gateway: edge
match: {path: {prefix: /}}
to: [{service: web}]
---
kind: Consumer
name: anna
---
kind: Consumer
name: bert
`;

/** What people do to a mesh: policies of every width, routes, mistakes, and edits that mean the same. */
export function makeEdit(world: VirtualWorld): Edit {
  const service = world.pick(services);
  const seconds = 1 + Math.floor(world.upTo(50));
  const edits: readonly Edit[] = [
    { yaml: `{kind: Policy, name: base, target: {}, timeout: {request: ${seconds}s}}`, refused: false },
    { yaml: `{kind: Policy, name: ${service}-limits, target: {service: ${service}}, rateLimit: {limits: {all: {requests: ${seconds}, per: 1m}}}}`, refused: false },
    { yaml: `{kind: Policy, name: ${service}-marks, target: {service: ${service}}, transform: {response: {headers: {set: {x-mark: "${seconds}"}}}}}`, refused: false },
    { yaml: `{kind: Policy, name: chaos, target: {service: ${service}}, fault: {faults: {some: {until: "2030-01-01T00:00:00Z", abort: {status: 503, ratio: ${seconds}%}}}}}`, refused: false },
    { yaml: `{kind: Policy, name: calm, target: {service: payments}, from: {service: orders}, timeout: {request: ${seconds}s}}`, refused: false },
    { yaml: `{kind: Route, name: r${seconds % 5}, gateway: edge, match: {path: {prefix: /r${seconds % 5}}}, to: [{service: ${service}}]}`, refused: false },
    { yaml: introspection('web', seconds), refused: false },
    { yaml: introspection('orders', seconds), refused: false },
    { yaml: `{kind: Policy, name: orders-keys, target: {service: orders}, apiKey: {enabled: ${seconds % 3 !== 0}, keyFrom: [{header: x-key}]}}`, refused: false },
    { yaml: `{kind: Consumer, name: ${seconds % 2 === 0 ? 'anna' : 'bert'}, labels: {team: t${seconds}}}`, refused: false },
    { yaml: `{kind: Policy, name: base, target: {}, timeout: {requst: ${seconds}s}}`, refused: true },
    { yaml: `{kind: Policy, name: nowhere, target: {service: nobody}, timeout: {request: ${seconds}s}}`, refused: true },
    { yaml: `{kind: Policy, name: again, target: {}, timeout: {request: ${seconds + 100}s}}\n---\n{kind: Policy, name: twice, target: {}, timeout: {request: ${seconds + 200}s}}`, refused: true },
  ];
  return world.pick(edits);
}

/** The only kind here that refers to a Secret: `NAME-key`, for `NAME` alone. */
function introspection(service: string, seconds: number): string {
  return `{kind: Policy, name: ${service}-tokens, target: {service: ${service}}, tokenIntrospection: {enabled: ${seconds % 3 !== 0}, endpoint: "https://login.example/introspect", clientId: c, clientSecret: {secret: ${service}-key}, cacheFor: ${seconds}s}}`;
}
