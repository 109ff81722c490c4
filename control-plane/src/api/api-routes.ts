import type { ApiRoute } from './api-route.ts';
import type { ApiPorts } from './api-ports.ts';
import { applyRoutes } from './routes/apply-routes.ts';
import { canRoutes } from './routes/can-routes.ts';
import { canaryRoutes } from './routes/canary-routes.ts';
import { consumerRoutes } from './routes/consumer-routes.ts';
import { auditRoutes } from './routes/audit-routes.ts';
import { documentRoutes } from './routes/document-routes.ts';
import { docsRoutes } from './routes/docs-routes.ts';
import { endpointRoutes } from './routes/endpoint-routes.ts';
import { eventRoutes } from './routes/event-routes.ts';
import { explainRoutes } from './routes/explain-routes.ts';
import { healthRoutes } from './routes/health-routes.ts';
import { itemEnforcementRoute } from './routes/item-enforcement-route.ts';
import { identityRoutes } from './routes/identity-routes.ts';
import { trustRoutes } from './routes/trust-routes.ts';
import { fleetHealthRoutes } from './routes/fleet-health-routes.ts';
import { breakerOrderRoutes } from './routes/breaker-order-routes.ts';
import { hostOrderRoutes } from './routes/host-order-routes.ts';
import { mtlsRoutes } from './routes/mtls-routes.ts';
import { operatorRoutes } from './routes/operator-routes.ts';
import { policyStatusRoute } from './routes/policy-status-route.ts';
import { revisionRoutes } from './routes/revision-routes.ts';
import { schemaRoutes } from './routes/schema-routes.ts';
import { secretRoutes } from './routes/secret-routes.ts';
import { sidecarRoutes } from './routes/sidecar-routes.ts';
import { suggestionRoutes } from './routes/suggestion-routes.ts';
import { tapRoutes } from './routes/tap-routes.ts';
import { telemetryRoutes } from './routes/telemetry-routes.ts';
import { usageRoutes } from './routes/usage-routes.ts';
import { whyRoutes } from './routes/why-routes.ts';

/** Every path of the API, in the order in which the documentation shows them. */
export function apiRoutes(ports: ApiPorts & { readonly metricsText: () => Promise<string> }): readonly ApiRoute[] {
  const routes: ApiRoute[] = [
    ...documentRoutes(ports),
    policyStatusRoute(ports),
    ...applyRoutes(ports),
    ...revisionRoutes(ports),
    ...sidecarRoutes(ports),
    itemEnforcementRoute(ports),
    ...endpointRoutes(ports),
    ...identityRoutes(ports),
    ...trustRoutes(ports),
    ...mtlsRoutes(ports),
    ...fleetHealthRoutes(ports),
    ...hostOrderRoutes(ports),
    ...breakerOrderRoutes(ports),
    ...canaryRoutes(ports),
    ...operatorRoutes(ports),
    ...auditRoutes(ports),
    ...consumerRoutes(ports),
    ...usageRoutes(ports),
    ...secretRoutes(ports),
    ...explainRoutes(ports),
    ...whyRoutes(ports),
    ...tapRoutes(ports),
    ...canRoutes(ports),
    ...telemetryRoutes(ports),
    ...suggestionRoutes(ports),
    ...eventRoutes(ports),
    ...schemaRoutes(ports),
    ...healthRoutes(ports),
  ];
  return [...routes, ...docsRoutes({ version: ports.version, routes: () => routes })];
}
