import { createServer, request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';

/** What a service of the demo answers: itself, and what the service below it answered. */
export interface ServiceAnswer {
  readonly service: string;
  readonly version: string;
  /** Who called, by its certificate, as its sidecar says. */
  readonly caller?: string;
  readonly below?: unknown;
}

/** Status and body of a call to another service. */
export interface CallResult {
  readonly status: number;
  readonly body: unknown;
}

export type CallService = (service: string, path: string, from: IncomingMessage) => Promise<CallResult>;

/** Headers that a service hands on, so that the hops of one request belong together. */
const handedOn = ['traceparent', 'tracestate', 'baggage', 'x-request-id'];

/** Status of every answer while it is broken; 0: it is not. */
let failing = 0;

let outbound = process.env['OUTBOUND'] ?? '127.0.0.1:15001';

/**
 * A service of a few lines: `PORT` (0: any) and `VERSION` by environment. It learns the address of its sidecar's
 * outbound side from `OUTBOUND`, or from a line on standard input when that is known later; another line breaks it.
 */
export function serve(name: string, handle: (incoming: IncomingMessage, call: CallService) => Promise<CallResult>): void {
  const version = process.env['VERSION'] ?? 'v1';
  const server = createServer((incoming, answer) => {
    if (failing !== 0) {
      answer.writeHead(failing, { 'content-type': 'text/plain' }).end(`${name} ${version} is broken`);
      return;
    }
    handle(incoming, callThroughSidecar).then(
      ({ status, body }) => {
        answer.writeHead(status, { 'content-type': 'application/json', 'x-served-by': `${name}-${version}` });
        answer.end(JSON.stringify({ service: name, version, ...callerOf(incoming), ...(body === null ? {} : { below: body }) } satisfies ServiceAnswer));
      },
      (error: Error) => answer.writeHead(502, { 'content-type': 'text/plain' }).end(`${name}: ${error.message}`),
    );
  });
  server.keepAliveTimeout = 120_000;
  server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    const address = server.address();
    process.stdout.write(`${JSON.stringify({ event: 'listening', name, port: typeof address === 'object' ? address?.port : address })}\n`);
  });
  createInterface({ input: process.stdin }).on('line', (line) => take(line.trim()));
  process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
}

/** `fail 503` breaks it, `fail 0` mends it; anything else is the address of the outbound side. */
function take(line: string): void {
  const status = /^fail (\d+)$/.exec(line)?.[1];
  if (status === undefined) outbound = line;
  else failing = Number(status);
}

/** Any service by its name, through the sidecar: `Host` says which, the sidecar finds an instance. */
function callThroughSidecar(service: string, path: string, from: IncomingMessage): Promise<CallResult> {
  const [host, port] = outbound.split(':');
  return new Promise((resolve, reject) => {
    request({ host, port, path, headers: { host: service, ...traceHeaders(from.headers) }, timeout: 20_000 }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 502, body: parse(Buffer.concat(chunks).toString()) }));
    })
      .on('timeout', function expire(this: { destroy(error: Error): void }) { this.destroy(new Error(`${service} did not answer`)); })
      .on('error', reject)
      .end();
  });
}

/** From `x-forwarded-client-cert`, which nobody but the sidecar can set. */
function callerOf({ headers }: IncomingMessage): { readonly caller?: string } {
  const uri = /(?:^|;)URI=([^;,]+)/.exec(String(headers['x-forwarded-client-cert'] ?? ''))?.[1];
  return uri === undefined ? {} : { caller: uri };
}

function traceHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(handedOn.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
