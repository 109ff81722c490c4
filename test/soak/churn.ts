import type { RunningControlPlane } from '../processes/remora.ts';

/** What every round of edits starts from: a gateway before `orders`, and a service whose endpoints come and go. */
export function baseDocuments(appPort: number): string {
  return `
{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}
---
{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}, dependsOn: [pool]}
---
${poolDocument(appPort, 0)}
---
{kind: Route, name: all, gateway: edge, match: {path: {prefix: /}}, to: [{service: orders}]}
---
{kind: Route, name: pool, gateway: edge, match: {path: {prefix: /pool}}, to: [{service: pool}]}
---
{kind: Policy, name: closed, target: {gateway: edge, route: all}, rateLimit: {limits: {few: {requests: 5, per: 1s, match: {paths: [/refused]}}}}}
`;
}

/** Names repeat after this many rounds: what a process keeps by name is then there. */
const names = 48;

function poolDocument(appPort: number, round: number): string {
  // Some addresses refuse: they are dialled, given up and forgotten.
  const endpoints = Array.from({ length: 1 + (round % 4) }, (_, i) => `{address: 127.0.0.${1 + ((round + i) % 8)}, port: ${appPort}, weight: ${1 + i}}`);
  return `{kind: Service, name: pool, ports: {http: {port: 80, protocol: http}}, endpoints: [{address: 127.0.0.1, port: ${appPort}}, ${endpoints.filter((text) => !text.includes('127.0.0.1,')).join(', ')}]}`;
}

/** One edit: a route appears, another goes, settings of a third change, and every fourth time the endpoints of `pool`. */
export async function editOnce(controlPlane: RunningControlPlane, round: number, appPort: number): Promise<void> {
  const name = `churn-${round % names}`;
  const documents = [
    `{kind: Route, name: ${name}, gateway: edge, match: {path: {prefix: /${name}}}, to: [{service: orders}]}`,
    `{kind: Policy, name: ${name}, target: {gateway: edge, route: ${name}}, transform: {response: {headers: {set: {x-round: "${round}"}}}}, timeout: {request: ${10 + (round % 9)}s}}`,
  ];
  if (round % 4 === 0) documents.push(poolDocument(appPort, round));
  await controlPlane.apply(documents.join('\n---\n'), round % 16 === 0 ? '?wait=applied&timeout=5s' : '');
  const old = `churn-${(round + names / 2) % names}`;
  const response = await fetch(`${controlPlane.api}/v1/delete`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ documents: [`Policy/${old}`, `Route/${old}`] }),
  });
  await response.arrayBuffer();
}

/** What people and programs ask meanwhile. */
export async function lookAround(controlPlane: RunningControlPlane, adminPorts: readonly number[]): Promise<void> {
  const urls = [
    ...['/metrics', '/v1/sidecars', '/v1/revisions?limit=5', '/v1/explain?gateway=edge&all', '/v1/telemetry/summary', '/v1/why/nobody'].map((path) => `${controlPlane.api}${path}`),
    ...adminPorts.flatMap((port) => ['/metrics', '/state', '/refusals'].map((path) => `http://127.0.0.1:${port}${path}`)),
  ];
  for (const url of urls) await (await fetch(url)).arrayBuffer();
  const events = new AbortController();
  await fetch(`${controlPlane.api}/v1/events`, { signal: events.signal });
  events.abort();
}
