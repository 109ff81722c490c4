import { allocateText, asText, type TextBuffer } from './byte-text.ts';
import { measureCosts, type CodecCase } from './codec-cost.ts';
import { HeadArena } from './head-arena.ts';
import { buildRequestHead, buildResponseHead } from './head-builder.ts';
import { makeField } from './header-ids.ts';
import { HeadAssembler, type AssembledKind } from './http2/head-assembler.ts';
import { HpackDecoder } from './http2/hpack-decoder.ts';
import { HpackEncoder } from './http2/hpack-encoder.ts';
import { defaultHttp2Limits } from './http2/http2-limits.ts';
import { Http2Session } from './http2/http2-session.ts';
import type { Http2Stream } from './http2/http2-stream.ts';
import type { SessionEvents, SessionOutput, StreamOwner } from './http2/session-ports.ts';
import type { MessageHead } from './message-head.ts';

const arena = new HeadArena();
const out = allocateText(65_536);
const limits = { bytesMax: 65_536, fieldsMax: 100 };
const assembler = new HeadAssembler();
const requestId = makeField('x-request-id', '7d9a1f6e-3b1c-4b8e-9d54-0c2f5d1a77b1');

const small = buildRequestHead({ method: 'GET', authority: '127.0.0.1:9205', target: '/api/users/123' });
const browser = buildRequestHead({
  method: 'GET', authority: 'api.example.com', target: '/api/users/123/orders?limit=20&offset=40', headers: [
    ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0'], ['accept', 'application/json, text/plain, */*'],
    ['accept-encoding', 'gzip, deflate, br'], ['accept-language', 'en-US,en;q=0.9'], ['authorization', `Bearer ${'a1B2c3D4'.repeat(22)}`],
    ['cookie', 'sid=4f3a9c1e2b7d; theme=dark'], ['referer', 'https://app.example.com/dashboard'],
    ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'], ['x-request-id', '7d9a1f6e-3b1c-4b8e-9d54-0c2f5d1a77b1'], ['x-tenant', 'acme-prod'],
  ],
});
const answer = buildResponseHead({
  status: 200, bodyLength: 113, headers: [['server', 'nginx/1.22.1'], ['date', 'Sun, 22 Nov 2026 01:27:22 GMT'], ['content-type', 'application/json']],
});

/** The block as a peer sends it once its table is filled. */
function settledBlock(head: MessageHead, kind: AssembledKind): { readonly decoder: HpackDecoder; readonly block: Buffer } {
  const encoder = new HpackEncoder(4096);
  const decoder = new HpackDecoder();
  let block = Buffer.alloc(0);
  for (let i = 0; i < 4; i++) {
    const end = kind === 'request' ? encoder.encodeRequest(head, out, 0) : encoder.encodeResponse(head, false, out, 0);
    block = Buffer.from(out.subarray(0, end));
    decode(decoder, block, kind);
  }
  return { decoder, block };
}

function decode(decoder: HpackDecoder, block: Buffer, kind: AssembledKind): MessageHead {
  assembler.begin(kind, limits);
  if (!decoder.decode(asText(block), 0, block.length, assembler)) throw new Error('not decoded');
  const head = assembler.finish(arena, kind === 'request', false);
  if (head === null) throw new Error(`not accepted: ${assembler.failure}`);
  return head;
}

function decodeCase(head: MessageHead, kind: AssembledKind): () => MessageHead {
  const { decoder, block } = settledBlock(head, kind);
  return () => decode(decoder, block, kind);
}

function forwardCase(head: MessageHead): () => number {
  const read = decodeCase(head, 'request');
  const encoder = new HpackEncoder(4096);
  return () => {
    const received = read();
    received.put(requestId);
    return encoder.encodeRequest(received, out, 0);
  };
}

function encodeCase(head: MessageHead): () => number {
  const encoder = new HpackEncoder(4096);
  return head.status > 0 ? () => encoder.encodeResponse(head, false, out, 0) : () => encoder.encodeRequest(head, out, 0);
}

/** Client and server over memory: request, response with a small body, both sides of both. */
function roundTrip(head: MessageHead): () => number {
  const body = Buffer.alloc(113, 'x');
  const ends = (['client', 'server'] as const).map((role) => {
    const output = new BenchOutput();
    const events = new BenchEvents(body);
    const session = new Http2Session({ role, output, events, arena, limits: defaultHttp2Limits, now: () => 0 });
    session.start();
    return { session, output, events };
  });
  const [client, server] = ends as [End, End];
  const carry = (): void => {
    server.output.into(client.session);
    client.output.into(server.session);
  };
  for (let i = 0; i < 4; i++) carry();
  return () => {
    client.session.open(client.events)?.sendHead(head, true);
    client.output.into(server.session);
    server.output.into(client.session);
    return client.events.bytes;
  };
}

interface End {
  readonly session: Http2Session;
  readonly output: BenchOutput;
  readonly events: BenchEvents;
}

class BenchOutput implements SessionOutput {
  readonly congested = false;
  outAt = 0;
  readonly #bytes = allocateText(65_536);

  reserve(): TextBuffer {
    return this.#bytes;
  }

  wrote(end: number): void {
    this.outAt = end;
  }

  into(session: Http2Session): void {
    const end = this.outAt;
    this.outAt = 0;
    session.read(this.#bytes, 0, end);
  }
}

class BenchEvents implements SessionEvents, StreamOwner {
  bytes = 0;
  readonly #body: Buffer;

  constructor(body: Buffer) {
    this.#body = body;
  }

  onRequest(stream: Http2Stream): StreamOwner {
    stream.sendHead(answer.fork(), false);
    stream.sendData(this.#body, 0, this.#body.length, true);
    return this;
  }

  onUnreadRequest(): null {
    return null;
  }

  onData(_bytes: Uint8Array, at: number, to: number): boolean {
    this.bytes += to - at;
    return true;
  }

  onSettings(): void {}
  onGoAway(): void {}
  onDrained(): void {}
  onFailed(): void {}
  wake(): void {}
  onInfo(): void {}
  onHead(): void {}
  onTrailers(): void {}
  onWritable(): void {}
  onReset(): void {}
  onClosed(): void {}
}

/** Cost of HTTP/2 alone, in nanoseconds: `node libs/http/http2.bench.ts`. */
export const cases: readonly CodecCase[] = [
  ['small request: decoded', decodeCase(small, 'request')],
  ['small request: encoded', encodeCase(small)],
  ['small request: decoded, one field added, encoded', forwardCase(small)],
  ['request of 12 fields: decoded', decodeCase(browser, 'request')],
  ['request of 12 fields: encoded', encodeCase(browser)],
  ['request of 12 fields: decoded, one field added, encoded', forwardCase(browser)],
  ['response of 4 fields: decoded', decodeCase(answer, 'response')],
  ['response of 4 fields: encoded', encodeCase(answer)],
  ['small request and its answer between two sessions, all of it', roundTrip(small)],
  ['request of 12 fields and its answer between two sessions, all of it', roundTrip(browser)],
];

if (import.meta.main) for (const { what, ns } of measureCosts(cases)) console.log(`${String(ns).padStart(6)} ns  ${what}`);
