import { createServer, type Server } from 'node:http';
import type net from 'node:net';
import { rmSync } from 'node:fs';
import { stop } from '../processes/child.ts';
import { startControlPlane, startSidecar, type ControlPlaneOptions, type RunningControlPlane, type RunningSidecar, type SidecarOptions } from '../processes/remora.ts';
import { until } from '../processes/until.ts';

export interface App {
  readonly port: number;
  /** Requests that reached the app. */
  seen: number;
  readonly server: Server;
}

/** Everything a test started; ends it all, whatever happened. */
export class Fixture {
  readonly #controlPlanes: RunningControlPlane[] = [];
  readonly #sidecars: RunningSidecar[] = [];
  readonly #apps: App[] = [];
  readonly #servers: { readonly server: net.Server; readonly sockets: ReadonlySet<net.Socket> }[] = [];

  async controlPlane(options: ControlPlaneOptions = {}): Promise<RunningControlPlane> {
    const started = await startControlPlane({ bundled: true, ...options });
    this.#controlPlanes.push(started);
    return started;
  }

  async sidecar(flags: readonly string[], options: SidecarOptions = {}): Promise<RunningSidecar> {
    const started = await startSidecar(flags, { bundled: true, ...options });
    this.#sidecars.push(started);
    return started;
  }

  /** An app that answers every request with its name. */
  async app(name: string): Promise<App> {
    const server = createServer((_, response) => {
      app.seen += 1;
      response.setHeader('content-type', 'text/plain').end(name);
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const app: App = { port: address.port, seen: 0, server };
    this.#apps.push(app);
    return app;
  }

  /** The port of a server of any protocol, whose connections end with the fixture. */
  async listen(server: net.Server): Promise<number> {
    const sockets = new Set<net.Socket>();
    this.#servers.push({ server, sockets });
    server.on('connection', (socket: net.Socket) => {
      sockets.add(socket);
      // Whoever breaks off is part of the test.
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return (server.address() as net.AddressInfo).port;
  }

  async end(): Promise<void> {
    for (const { process } of [...this.#sidecars, ...this.#controlPlanes]) await stop(process);
    for (const { server, sockets } of this.#servers) {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
    for (const { server } of this.#apps) {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    }
    for (const { folder } of [...this.#sidecars, ...this.#controlPlanes]) rmSync(folder, { recursive: true, force: true });
  }
}

/** Two services: `web` calls `orders`. */
export const twoServices = `
kind: Service
name: web
ports: {http: {port: 80, protocol: http}}
dependsOn: [orders]
---
kind: Service
name: orders
ports: {http: {port: 80, protocol: http}}
`;

/** A policy whose effect every answer shows. Two headers, set together: an answer with different values would be torn. */
export function markPolicy(mark: number): string {
  return `
kind: Policy
name: mark
target: {service: orders}
transform: {response: {headers: {set: {x-mark: "${mark}", x-mark-again: "${mark}"}}}}
`;
}

interface SidecarItem {
  readonly config: { readonly applied: { readonly epoch: number }; readonly inSync: boolean };
  readonly nodeId: string;
  readonly subject: string;
  readonly phase: string;
  readonly connected: boolean;
}

export async function sidecarsOf(api: string): Promise<readonly SidecarItem[]> {
  const response = await fetch(`${api}/v1/sidecars?limit=200`).catch(() => null);
  return response?.ok ? ((await response.json()) as { readonly items: readonly SidecarItem[] }).items : [];
}

export async function untilInSync(api: string, count: number, deadlineMs = 40_000): Promise<void> {
  await until(`${count} sidecars in sync`, () => sidecarsOf(api), (items) => items.filter((item) => item.phase === 'in-sync' && item.connected).length === count, deadlineMs);
}

export async function statusOf(sidecar: RunningSidecar): Promise<Record<string, unknown>> {
  return await (await fetch(`http://127.0.0.1:${sidecar.ports['admin']}/status`)).json() as Record<string, unknown>;
}
