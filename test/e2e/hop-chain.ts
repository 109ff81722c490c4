import { createServer, request, Agent, type Server } from 'node:http';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { ask, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import type { Fixture } from './fixture.ts';

/** `web` calls `orders`, which calls `payments`, which calls `ledger`: three hops with sidecars, and a last one that is only an app. */
export interface HopChain {
  readonly controlPlane: RunningControlPlane;
  readonly web: RunningSidecar;
  readonly ledger: Ledger;
  /** Asks `orders` as the app of `web` would, so many times, some at once. */
  send(count: number, atOnce: number): Promise<readonly Answer[]>;
  apply(yaml: string): Promise<void>;
  close(): Promise<void>;
}

/** The last hop: does what the test says, and counts. */
export interface Ledger {
  seen: number;
  status: number;
}

/** `handsOn`: what the apps copy from the request that they got to the one that they make. */
export async function startHopChain(fixture: Fixture, handsOn: readonly string[], bundled = false): Promise<HopChain> {
  const ledger: Ledger = { seen: 0, status: 200 };
  const last = await serve(createServer((_, response) => {
    ledger.seen += 1;
    response.writeHead(ledger.status).end();
  }));
  const controlPlane = await fixture.controlPlane({ bundled });
  await controlPlane.apply(`
{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [orders]}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, dependsOn: [payments]}
---
{kind: Service, name: payments, ports: {http: {port: 80}}, dependsOn: [ledger]}
---
{kind: Service, name: ledger, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${last.port}}]}
`);
  const hops = [last.server];
  const member = async (name: string, next: string): Promise<RunningSidecar> => {
    const app = new PassingApp(next, handsOn);
    const { server, port } = await serve(app.server);
    hops.push(server);
    const sidecar = await fixture.sidecar(['--service', name, '--control-plane', controlPlane.push, '--app', `127.0.0.1:${port}`, '--inbound', '0', '--outbound', '0'], { bundled });
    app.outbound = sidecar.ports['outbound'] ?? 0;
    return sidecar;
  };
  const [web] = [await member('web', 'orders'), await member('orders', 'payments'), await member('payments', 'ledger')];
  const port = web.ports['outbound'] ?? 0;
  const agent = new Agent({ keepAlive: true });
  await until('the chain answers', () => ask({ port, path: '/', host: 'orders', agent }), ({ status }) => status === 200, 30_000);
  return {
    controlPlane, web, ledger,
    async send(count, atOnce) {
      const answers: Answer[] = [];
      await Promise.all(Array.from({ length: atOnce }, async (_, lane) => {
        for (let i = lane; i < count; i += atOnce) answers.push(await ask({ port, path: '/', host: 'orders', agent }));
      }));
      return answers;
    },
    async apply(yaml) {
      const answer = JSON.stringify(await controlPlane.apply(yaml, '?wait=applied&timeout=60s'));
      if (answer.includes('"timedOut":true') || answer.includes('"refused":[{')) throw new Error(`not enforced: ${answer.slice(0, 1000)}`);
    },
    async close() {
      agent.destroy();
      for (const server of hops) {
        server.closeAllConnections();
        await new Promise((resolve) => { server.close(resolve); });
      }
    },
  };
}

/** An app that answers as the next service does, through its sidecar: what fails there is a 503 here. */
class PassingApp {
  /** Port of its sidecar. */
  outbound = 0;
  readonly server: Server;

  constructor(next: string, handsOn: readonly string[]) {
    const agent = new Agent({ keepAlive: true });
    this.server = createServer((incoming, response) => {
      const headers = Object.fromEntries(handsOn.flatMap((name) => (incoming.headers[name] === undefined ? [] : [[name, incoming.headers[name]]])));
      const fail = (): void => void (response.headersSent || response.writeHead(503).end());
      const outgoing = request({ host: '127.0.0.1', port: this.outbound, path: '/', headers: { ...headers, host: next }, agent }, (answer) => {
        answer.resume().on('end', () => (answer.statusCode === 200 ? response.end('good') : fail()));
        answer.on('error', fail);
      });
      outgoing.on('error', fail).end();
    });
    this.server.on('close', () => agent.destroy());
  }
}

async function serve(server: Server): Promise<{ readonly server: Server; readonly port: number }> {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, port: address.port };
}
