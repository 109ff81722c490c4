import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

/** What answers of Consul's health API look like; written by hand after its documentation. */
export function healthEntry(id: string, more: { readonly address?: string; readonly port?: number; readonly node?: object; readonly service?: object; readonly checks?: readonly { CheckID: string; Status: string }[] } = {}): object {
  return {
    Node: { ID: '40e4a748', Node: 'node-1', Address: '10.1.10.12', Datacenter: 'dc1', TaggedAddresses: { lan: '10.1.10.12' }, Meta: {}, ...more.node },
    Service: { ID: id, Service: 'payments', Tags: [], Address: more.address ?? '', Meta: {}, Port: more.port ?? 8080, Weights: { Passing: 1, Warning: 1 }, EnableTagOverride: false, ...more.service },
    Checks: more.checks ?? [{ Node: 'node-1', CheckID: 'serfHealth', Name: 'Serf Health Status', Status: 'passing', Output: 'Agent alive and reachable' }],
  };
}

/** An agent's health API with blocking queries, for tests. */
export class ConsulDouble {
  readonly #server: Server;
  #index = 100;
  #body: unknown = [];
  #waiting: (() => void)[] = [];
  readonly questions: { readonly url: URL; readonly token: string | undefined; readonly namespace: string | undefined }[] = [];
  /** Answers with this status and text. */
  failing: { readonly status: number; readonly text: string } | null = null;
  silent = false;
  /** Instead of what it has. */
  answer: ((response: ServerResponse) => void) | null = null;
  address = '';

  constructor(tls?: { readonly key: string; readonly cert: string }) {
    const serve = (request: IncomingMessage, response: ServerResponse): void => this.#serve(request, response);
    this.#server = tls ? createSecureServer(tls, serve) : createServer(serve);
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => void this.#server.listen(0, '127.0.0.1', resolve));
    const at = this.#server.address();
    this.address = `http${'setSecureContext' in this.#server ? 's' : ''}://127.0.0.1:${typeof at === 'object' && at !== null ? at.port : 0}`;
    return this;
  }

  put(body: unknown, index = this.#index + 1): void {
    this.#body = body;
    this.#index = index;
    this.wake();
  }

  /** Whoever waits is answered as if its time were over. */
  wake(): void {
    for (const answer of this.#waiting.splice(0)) answer();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', this.address);
    const header = (name: string): string | undefined => request.headers[name]?.toString();
    this.questions.push({ url, token: header('x-consul-token'), namespace: header('x-consul-namespace') });
    const answer = (): void => this.#answer(response);
    if (!this.silent && !this.failing && url.searchParams.get('index') === String(this.#index)) this.#waiting.push(answer);
    else answer();
  }

  #answer(response: ServerResponse): void {
    if (this.silent) return;
    if (this.answer) return this.answer(response);
    if (this.failing) return void response.writeHead(this.failing.status, { 'content-type': 'text/plain' }).end(this.failing.text);
    response.writeHead(200, { 'content-type': 'application/json', 'x-consul-index': String(this.#index), 'x-consul-knownleader': 'true', 'x-consul-lastcontact': '0' }).end(JSON.stringify(this.#body));
  }
}
