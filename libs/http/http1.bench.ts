import { allocateText, type TextBuffer } from './byte-text.ts';
import { canonicalPath } from './canonical-path.ts';
import { ChunkedDecoder, chunkedData } from './chunked-decoder.ts';
import { measureCosts, type CodecCase } from './codec-cost.ts';
import { HeadArena } from './head-arena.ts';
import { HeadReader } from './head-reader.ts';
import { scanComplete, type HeadKind } from './head-scanner.ts';
import { makeField } from './header-ids.ts';
import { headSizeMax, noConnectionLine, writeRequestHead, writeResponseHead } from './head-writer.ts';
import type { MessageHead } from './message-head.ts';

const small = Buffer.from('GET /api/users/123 HTTP/1.1\r\nHost: 127.0.0.1:9205\r\n\r\n');
const browser = Buffer.from(
  'GET /api/users/123/orders?limit=20&offset=40 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0\r\n' +
  'Accept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n' +
  `Authorization: Bearer ${'a1B2c3D4'.repeat(22)}\r\nConnection: keep-alive\r\nCookie: sid=4f3a9c1e2b7d; theme=dark\r\nReferer: https://app.example.com/dashboard\r\n` +
  'Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Request-Id: 7d9a1f6e-3b1c-4b8e-9d54-0c2f5d1a77b1\r\nX-Tenant: acme-prod\r\n\r\n',
);
const answer = Buffer.from('HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 01:27:22 GMT\r\nContent-Type: application/json\r\nContent-Length: 113\r\nConnection: keep-alive\r\n\r\n');
const chunks = Buffer.from(`${`400\r\n${'x'.repeat(1024)}\r\n`.repeat(16)}0\r\n\r\n`);

const arena = new HeadArena();
const out: TextBuffer = allocateText(65_536);
const added = makeField('x-request-id', '7d9a1f6e-3b1c-4b8e-9d54-0c2f5d1a77b1');

function readerOf(kind: HeadKind, bytes: Buffer): () => MessageHead {
  const reader = new HeadReader(kind, arena, { bytesMax: 65_536, fieldsMax: 100 });
  return () => {
    if (reader.read(bytes, 0, bytes.length) !== scanComplete) throw new Error('not read');
    return reader.take();
  };
}

function forward(read: () => MessageHead): () => number {
  return () => {
    const head = read();
    head.put(added);
    return headSizeMax(head) + writeRequestHead(head, out, 0);
  };
}

const rules = { allowEncodedSlash: false, allowBackslash: false, mergeSlashes: false, resolveDotSegments: false, allowSemicolon: false, allowEncodedControl: false };
const decoder = new ChunkedDecoder();
const framing = { bodiless: false, chunkedAllowed: true, connectionLine: noConnectionLine };
const readSmall = readerOf('request', small);
const readBrowser = readerOf('request', browser);
const readAnswer = readerOf('response', answer);

/** Cost of the codec alone, in nanoseconds: `node libs/http/http1.bench.ts`. */
export const cases: readonly CodecCase[] = [
  ['request of 2 lines: read', readSmall],
  ['request of 2 lines: read, one field added, written', forward(readSmall)],
  ['request of 12 fields: read', readBrowser],
  ['request of 12 fields: read, one field added, written', forward(readBrowser)],
  ['response of 5 fields: read', readAnswer],
  ['response of 5 fields: read, written', () => writeResponseHead(readAnswer(), framing, out, 0)],
  ['16 chunks of 1 KiB: decoded', () => {
    decoder.reset();
    let at = 0;
    while (at < chunks.length - 2) {
      const event = decoder.decode(chunks, at, chunks.length);
      at = decoder.used;
      if (event !== chunkedData && event !== 0) break;
    }
    return at;
  }],
  ['a path with escapes: canonical', () => canonicalPath('/%61pi/users/%c3%a9/x%20y', rules)],
];

if (import.meta.main) for (const { what, ns } of measureCosts(cases)) console.log(`${String(ns).padStart(6)} ns  ${what}`);
