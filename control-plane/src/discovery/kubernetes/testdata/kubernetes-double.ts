import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';

/** What an API server answers with for a slice; written by hand after the reference of the API. */
export function slice(name: string, endpoints: readonly object[], more: object = {}): { metadata: { name: string } } {
  return {
    apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4',
    metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion: '1', generation: 3, labels: { app: 'payments', 'kubernetes.io/service-name': 'payments', 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' }, ownerReferences: [] },
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }], endpoints, ...more,
  } as { metadata: { name: string } };
}

export function pod(name: string, address: string, conditions: object = { ready: true, serving: true, terminating: false }, more: object = {}): object {
  return { addresses: [address], conditions, nodeName: 'node-1', zone: 'eu-a', targetRef: { kind: 'Pod', namespace: 'shop', name, uid: `uid-${name}` }, ...more };
}

type Slice = ReturnType<typeof slice>;

/** The EndpointSlices of a Kubernetes API server with list, pages, watch, bookmarks and 410, over TLS, for tests. */
export class KubernetesDouble {
  readonly #server: Server;
  readonly #slices = new Map<string, Slice>();
  readonly #watches = new Set<ServerResponse>();
  readonly #events: { readonly version: number; readonly event: object }[] = [];
  #version = 1_000;
  /** Versions before this one are forgotten: a watch from there is 410. */
  #oldest = 0;
  readonly requests: { readonly url: URL; readonly authorization: string | undefined }[] = [];
  token = '';
  failing: { readonly status: number; readonly message: string } | null = null;
  silent = false;
  pageItems = 500;
  address = '';

  constructor(tls: { readonly key: string; readonly cert: string }) {
    this.#server = createServer(tls, (request, response) => this.#serve(request, response));
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => void this.#server.listen(0, '127.0.0.1', resolve));
    const at = this.#server.address();
    this.address = `https://127.0.0.1:${typeof at === 'object' && at !== null ? at.port : 0}`;
    return this;
  }

  put(one: Slice): void {
    const type = this.#slices.has(one.metadata.name) ? 'MODIFIED' : 'ADDED';
    const object = { ...one, metadata: { ...one.metadata, resourceVersion: String(++this.#version) } };
    this.#slices.set(one.metadata.name, object);
    this.#tell({ type, object });
  }

  remove(name: string): void {
    const one = this.#slices.get(name);
    if (!one) return;
    this.#slices.delete(name);
    this.#tell({ type: 'DELETED', object: { ...one, metadata: { ...one.metadata, resourceVersion: String(++this.#version) } } });
  }

  bookmark(): void {
    this.#version += 10;
    this.#write({ type: 'BOOKMARK', object: { kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1', metadata: { resourceVersion: String(this.#version), creationTimestamp: null } } });
  }

  /** Something the server says of itself on all watches. */
  say(event: object | string): void {
    this.#write(event);
  }

  /** All that came before is forgotten, as etcd does when it compacts. */
  compact(): void {
    this.#oldest = ++this.#version;
    this.#events.length = 0;
  }

  /** Ends all watches, as the server does after their time, or when it stops. */
  endWatches(abruptly = false): void {
    for (const watch of this.#watches) {
      if (abruptly) watch.destroy();
      else watch.end();
    }
    this.#watches.clear();
  }

  async close(): Promise<void> {
    this.endWatches(true);
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', this.address);
    this.requests.push({ url, authorization: request.headers.authorization });
    if (this.silent) return;
    if (this.failing) return status(response, this.failing.status, this.failing.message);
    if (this.token !== '' && request.headers.authorization !== `Bearer ${this.token}`) return status(response, 401, 'Unauthorized');
    response.setHeader('content-type', 'application/json');
    if (url.searchParams.get('watch') === 'true') this.#watch(Number(url.searchParams.get('resourceVersion')), response);
    else this.#list(Number(url.searchParams.get('continue') ?? 0), response);
  }

  #list(from: number, response: ServerResponse): void {
    const items = [...this.#slices.values()].slice(from, from + this.pageItems);
    const more = from + this.pageItems < this.#slices.size ? String(from + this.pageItems) : undefined;
    response.end(JSON.stringify({ kind: 'EndpointSliceList', apiVersion: 'discovery.k8s.io/v1', metadata: { resourceVersion: String(this.#version), continue: more }, items }));
  }

  #watch(from: number, response: ServerResponse): void {
    if (from < this.#oldest) {
      response.end(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: `too old resource version: ${from} (${this.#oldest})`, reason: 'Expired', code: 410 } })}\n`);
      return;
    }
    response.flushHeaders();
    for (const { version, event } of this.#events) if (version > from) response.write(`${JSON.stringify(event)}\n`);
    this.#watches.add(response);
    response.on('close', () => this.#watches.delete(response));
  }

  #tell(event: object): void {
    this.#events.push({ version: this.#version, event });
    this.#write(event);
  }

  #write(event: object | string): void {
    const line = `${typeof event === 'string' ? event : JSON.stringify(event)}\n`;
    // In two pieces: an event need not come in one.
    const at = Math.floor(line.length / 2);
    for (const watch of this.#watches) {
      watch.write(line.slice(0, at));
      watch.write(line.slice(at));
    }
  }
}

function status(response: ServerResponse, code: number, message: string): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code }));
}
