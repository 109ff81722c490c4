import { execFile } from 'node:child_process';
import { Agent, createServer, request, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { untilInSync, type Fixture } from './fixture.ts';

/** What an instance of payments does with a request. */
export type Behaviour = 'good' | 'failing' | 'silent' | 'breaking';

/** A gateway `edge` in front of `orders`, whose app calls three instances of `payments` that have no sidecar. */
export interface Shop {
  readonly controlPlane: RunningControlPlane;
  readonly edge: RunningSidecar;
  readonly orders: RunningSidecar;
  readonly instances: readonly PaymentsInstance[];
  /** Of the instances, stopped or not. */
  readonly ports: readonly number[];
  /** Asks the gateway as a customer would. */
  ask(): Promise<ShopAnswer>;
  /** The program as a person types it, against this control plane. */
  remora(...args: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }>;
  apply(yaml: string): Promise<void>;
  /** Without the policy `row`, and nothing held against any instance. */
  calmDown(): Promise<void>;
  close(): Promise<void>;
}

export interface ShopAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export class PaymentsInstance {
  behaviour: Behaviour = 'good';
  readonly #server: TcpServer;
  readonly #sockets = new Set<Socket>();

  private constructor(server: TcpServer) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => socket.destroy());
      socket.on('data', (bytes) => {
        if (bytes.includes('\r\n\r\n')) this.#answer(socket);
      });
    });
  }

  static async start(): Promise<PaymentsInstance> {
    const server = createTcpServer();
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return new PaymentsInstance(server);
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Ends what is open, so that the next request needs a connection. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }

  #answer(socket: Socket): void {
    if (this.behaviour === 'silent') return;
    if (this.behaviour === 'breaking') socket.resetAndDestroy();
    else socket.write(this.behaviour === 'good' ? 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npaid' : 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy');
  }
}

export async function startShop(fixture: Fixture): Promise<Shop> {
  const instances = await Promise.all([PaymentsInstance.start(), PaymentsInstance.start(), PaymentsInstance.start()]);
  const controlPlane = await fixture.controlPlane();
  const port = await freePort();
  await controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {http: {port: ${port}}}}
---
{kind: Route, name: api, gateway: edge, match: {path: {prefix: /api/orders}}, to: [{service: orders}]}
---
{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}, dependsOn: [payments]}
---
{kind: Service, name: payments, ports: {http: {port: 80, protocol: http}}, endpoints: [${instances.map(({ port }) => `{address: 127.0.0.1, port: ${port}}`).join(', ')}]}
`);
  const app = new OrdersApp();
  const appPort = await app.listen();
  const common = ['--control-plane', controlPlane.push, '--telemetry-interval', '1s'];
  const orders = await fixture.sidecar(['--service', 'orders', '--node-id', 'orders-1', '--app', `127.0.0.1:${appPort}`, '--inbound', '0', '--outbound', '0', ...common]);
  app.outbound = orders.ports['outbound'] ?? 0;
  const edge = await fixture.sidecar(['--gateway', 'edge', '--node-id', 'edge-1', ...common]);
  await untilInSync(controlPlane.api, 2);
  const shop: Shop = {
    controlPlane, edge, orders, instances, ports: instances.map(({ port: of }) => of),
    ask: () => askAt(port, '/api/orders', 'api.shop.example'),
    remora: (...args) => runRemora(controlPlane.api, args),
    async apply(yaml) {
      await controlPlane.apply(yaml, '?wait=applied&timeout=60s');
    },
    async calmDown() {
      for (const instance of instances) instance.behaviour = 'good';
      await fetch(`${controlPlane.api}/v1/policies/row?wait=applied&timeout=60s`, { method: 'DELETE' });
      for (const port of shop.ports) {
        await fetch(`${controlPlane.api}/v1/services/payments/uneject`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ host: `127.0.0.1:${port}` }) });
      }
    },
    async close() {
      await app.close();
      await Promise.all(instances.map((instance) => instance.stop().catch(() => {})));
    },
  };
  await until('the shop answers', () => shop.ask(), ({ status }) => status === 200, 30_000);
  return shop;
}

/** Calls payments through its sidecar, hands on the id of the request, and answers as payments does. */
class OrdersApp {
  outbound = 0;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server: Server;

  constructor() {
    this.#server = createServer((incoming, response) => {
      const id = incoming.headers['x-request-id'];
      const outgoing = request({ host: '127.0.0.1', port: this.outbound, path: '/pay', headers: { host: 'payments', ...(id !== undefined && { 'x-request-id': id }) }, agent: this.#agent }, (answer) => {
        response.writeHead(answer.statusCode ?? 502);
        answer.pipe(response);
      });
      outgoing.on('error', () => void (response.headersSent || response.writeHead(502).end())).end();
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => { this.#server.listen(0, '127.0.0.1', resolve); });
    return portOf(this.#server);
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

function askAt(port: number, target: string, host: string): Promise<ShopAnswer> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: target, headers: { host } }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => { body += text; }).on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body })).on('error', reject);
    }).on('error', reject).end();
  });
}

/** The program as a person types it. */
export function runRemora(api: string, args: readonly string[]): ReturnType<Shop['remora']> {
  const program = path.join(import.meta.dirname, '../../libs/cli/main.ts');
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args, '--server', api], { env: { ...process.env, NO_COLOR: '1', TZ: 'UTC' }, timeout: 60_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, out, err });
    });
  });
}

function portOf(server: Server | TcpServer): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
