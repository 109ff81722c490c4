import { canonicalPath } from '@remora/http/canonical-path';
import { connectDestination } from './connect-request.ts';
import { connectionHead, isConnection } from './connection-head.ts';
import { buildRequestHead } from '@remora/http/head-builder';
import type { MessageHead } from '@remora/http/message-head';
import type { Host } from '@remora/policy-kit/hosts';
import { undecided, type RouteHit } from '@remora/router/route-table';
import type { EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { RequestQuestion } from '../threads/data-plane.ts';
import type { Generation } from '../generation/generation.ts';
import type { CallerRoute, Destination, ProviderPort, ProviderRoute, WeightedTarget } from '../generation/places.ts';

/** What would happen to a request on this generation, as JSON: path, route, policies in order, destinations with what they have. Sends nothing. */
export function explainRequest(generation: Generation | null, question: RequestQuestion): object {
  if (generation === null) return { outcome: 'refused', reason: 'no-configuration' };
  let head: MessageHead;
  try {
    head = buildRequestHead({ method: question.method, authority: question.authority, target: question.path, headers: question.headers });
  } catch (error) {
    return { outcome: 'refused', reason: 'bad-request', detail: error instanceof Error ? error.message : String(error) };
  }
  const snapshot = { version: generation.label.version, hash: generation.hash };
  if (question.side === 'outbound') return { snapshot, ...explainOutbound(generation, head) };
  const ports = question.side === 'inbound' ? generation.inbound : generation.listeners;
  const usual = [...ports.values()].find(({ transport }) => transport === 'http') ?? [...ports.values()][0];
  const port = question.listener === undefined ? usual : ports.get(question.listener);
  if (port === undefined) return { snapshot, outcome: 'refused', reason: 'no-route', detail: 'no such port or listener', known: [...ports.keys()] };
  return { snapshot, listener: port.name, ...explainProvider(port, head) };
}

/** A TCP connection has nothing but the name in its ClientHello, asked for as the host. */
function explainConnection(port: ProviderPort, authority: string): object {
  const head = connectionHead(port.transport === 'tls' ? 'tls' : 'tcp', authority);
  const hit = port.table.match(head);
  if (hit === undecided) return { carries: port.transport, outcome: 'refused', reason: 'bad-request', detail: 'a match could not be evaluated' };
  const route: ProviderRoute = hit?.value ?? port.fallback;
  return { carries: port.transport, route: route.place.route, policies: policiesOf(route.place.settings, true), ...explainAction(route, head) };
}

function explainProvider(port: ProviderPort, head: MessageHead): object {
  if (port.transport !== 'http') return explainConnection(port, head.authority);
  const path = canonicalPath(head.path, port.pathRules);
  if (path === '') return { outcome: 'refused', reason: 'bad-path' };
  head.setPath(path);
  const hit = port.table.match(head);
  if (hit === undecided) return { path, outcome: 'refused', reason: 'bad-request', detail: 'a match could not be evaluated' };
  const route: ProviderRoute = hit?.value ?? port.fallback;
  return { path, route: route.place.route, variables: variablesOf(hit), policies: policiesOf(route.place.settings), ...explainAction(route, head) };
}

function explainAction({ action }: ProviderRoute, head: MessageHead): object {
  switch (action.kind) {
    case 'app':
      return { outcome: 'app', targets: [describeTarget({ target: action.target, weight: 1 })] };
    case 'forward':
      return {
        outcome: 'forward',
        targets: action.targets.map((target) => ({
          ...describeTarget(target), ...explainCaller(target.destination, head, (route) => target.overrides?.get(route)?.settings ?? null),
        })),
      };
    case 'redirect':
      return { outcome: 'redirect', status: action.status };
    case 'httpsRedirect':
      return { outcome: 'redirect', status: 308 };
    case 'respond':
      return { outcome: 'respond', status: action.response().head.status };
    case 'none':
      return { outcome: 'refused', reason: 'no-route' };
  }
}

function explainOutbound(generation: Generation, head: MessageHead): object {
  if (head.method === 'CONNECT') return explainConnect(generation, head.authority);
  const tcp = generation.tcpByAuthority.get(head.authority);
  if (tcp !== undefined && !generation.byAuthority.has(head.authority)) return { carries: 'tcp', outcome: 'forward', ...explainCaller(tcp, connectionHead('tcp', ''), () => null) };
  const destination = generation.byAuthority.get(head.authority);
  if (destination === undefined) return { outcome: 'refused', reason: 'unknown-destination', known: [...generation.byAuthority.keys()].slice(0, 100) };
  const path = canonicalPath(head.path, destination.pathRules);
  if (path === '') return { outcome: 'refused', reason: 'bad-path' };
  head.setPath(path);
  return { path, outcome: 'forward', ...explainCaller(destination, head, () => null) };
}

function explainConnect(generation: Generation, authority: string): object {
  const where = connectDestination(generation, authority, true);
  if ('reason' in where) return { outcome: 'refused', reason: where.reason.code, detail: where.detail };
  return { carries: 'tcp', outcome: 'forward', ...explainCaller(where, connectionHead('tcp', ''), () => null) };
}

function explainCaller(destination: Destination, head: MessageHead, override: (route: string) => EffectiveSettings | null): object {
  const hit = destination.table.match(head);
  if (hit === undecided) return { outcome: 'refused', reason: 'bad-request' };
  const route: CallerRoute = hit?.value ?? destination.fallback;
  return {
    destination: destination.service,
    destinationRoute: route.caller.route,
    callerPolicies: policiesOf(override(route.caller.route) ?? route.caller.settings, isConnection(head)),
    subsets: route.targets.map(describeTarget),
  };
}

function describeTarget({ target, weight }: WeightedTarget): object {
  return {
    service: target.service,
    port: target.port,
    labels: target.labels,
    weight,
    endpoints: target.hosts.hosts.map((host) => ({ id: host.id, address: host.address, weight: host.weight, tier: tierOf(host) })),
  };
}

/** How it is preferred: the next tier only where the ones before cannot take everything. */
function tierOf({ draining, suspect, backup }: Host): number {
  return draining ? 3 : suspect ? 2 : backup ? 1 : 0;
}

function variablesOf(hit: RouteHit<unknown> | null): Record<string, string> {
  return Object.fromEntries((hit?.pathNames ?? []).map((name, i) => [name, hit?.pathValues[i] ?? '']));
}

function policiesOf(settings: EffectiveSettings, tcp = false): object[] {
  return settings.sections.filter(({ runtime }) => !tcp || runtime.tcp === true).map(({ kind, shadow, origins }) => ({ kind, shadow, policies: [...new Set(origins.map(({ policy }) => policy))] }));
}
