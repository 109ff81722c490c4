import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MessageReader } from './message-reader.ts';

/** llhttp's own tests (MIT, see testdata/llhttp.LICENSE): what it refuses when strict, we refuse, however the bytes are cut. */
interface Case {
  readonly id: string;
  readonly title: string;
  readonly mode: string;
  readonly strict: boolean;
  readonly expect: 'accept' | 'reject' | 'upgrade' | 'ignore-rest';
  readonly messages: number;
  readonly bytes: string;
}

const cases = readFileSync(new URL('testdata/llhttp.jsonl', import.meta.url), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Case);
const limits = { bytesMax: 8192, fieldsMax: 100 };

function read(one: Case, pieces: readonly Uint8Array[]): MessageReader {
  const reader = new MessageReader(one.mode.startsWith('response') ? 'response' : 'request', limits);
  for (const piece of pieces) reader.feed(piece);
  return reader;
}

function summary(reader: MessageReader): string {
  const messages = reader.messages.map(({ head, body }) => {
    const fields: string[] = [];
    head.forEach((name, value) => fields.push(`${name}: ${value}`));
    return [head.method, head.target, head.status, ...fields, Buffer.concat(body).toString('latin1')];
  });
  return JSON.stringify([reader.state, messages]);
}

describe('llhttp conformance data', () => {
  it('is all there', () => {
    expect(cases).toHaveLength(251);
  });

  const strict = cases.filter((one) => one.strict);

  it.each(strict.filter((one) => one.expect === 'reject').map((one) => [one.id, one] as const))('refuses %s at every split point', (_, one) => {
    const bytes = Buffer.from(one.bytes, 'base64');
    for (let split = 0; split <= bytes.length; split++) {
      const reader = read(one, [bytes.subarray(0, split), bytes.subarray(split)]);
      reader.end();
      expect(reader.state, `cut at ${split}: ${reader.messages.length} messages were read`).toBe('refused');
    }
    const drip = read(one, [...bytes].map((byte) => Uint8Array.of(byte)));
    drip.end();
    expect(drip.state, 'byte by byte').toBe('refused');
  });

  it('reads the same from every other message too, however it is cut', () => {
    for (const one of cases) {
      const bytes = Buffer.from(one.bytes, 'base64');
      const whole = read(one, [bytes]);
      for (let split = 0; split <= bytes.length; split++) {
        const cut = read(one, [bytes.subarray(0, split), bytes.subarray(split)]);
        expect(summary(cut), `${one.id} cut at ${split}`).toBe(summary(whole));
      }
    }
  });

  it.each(strict.filter((one) => one.expect !== 'reject').map((one) => [one.id, one] as const))('accepts %s, or says which rule forbids it', (_, one) => {
    const bytes = withHost(one);
    const reader = read(one, [bytes]);
    const rule = stricterRules.find(({ applies }) => applies(bytes.toString('latin1')))?.rule ?? '';
    expect(reader.state === 'refused' ? rule : 'accepted', rule === '' ? 'refused without a rule' : '').toBe(rule === '' ? 'accepted' : rule);
  });
});

/** RFC 9112 section 3.2 wants Host in every HTTP/1.1 request; llhttp leaves that to its user. */
function withHost(one: Case): Buffer {
  const text = Buffer.from(one.bytes, 'base64').toString('latin1');
  if (one.mode !== 'request' || /^host:/im.test(text)) return Buffer.from(text, 'latin1');
  return Buffer.from(text.replaceAll(/( HTTP\/1\.1\r\n)/g, (line) => `${line}Host: ${/ http:\/\/([^/? ]+)/.exec(text)?.[1] ?? 'a'}\r\n`), 'latin1');
}

/** Where we are stricter than llhttp, and why. */
const stricterRules: readonly { readonly rule: string; readonly applies: (text: string) => boolean }[] = [
  { rule: 'RFC 9112 section 3: three parts, HTTP/0.9 is not HTTP/1.x', applies: (text) => text.startsWith('GET /\r\n') },
  { rule: 'RFC 9112 section 2.3: the version is HTTP/1.x', applies: (text) => / (ICE|RTSP)\/1\.0\r\n/.test(text) || /^(RTSP|ICE|HTTP\/0)/.test(text) },
  { rule: 'RFC 9113 section 3.4: PRI is not a method', applies: (text) => text.startsWith('PRI ') },
  { rule: 'RFC 9110 section 7.1: a target * is for OPTIONS alone', applies: (text) => text.startsWith('M-SEARCH * ') },
  { rule: 'RFC 9112 section 6.1: Transfer-Encoding is chunked, once', applies: (text) => /transfer-encoding: (?!chunked\r\n)/i.test(text) || /(transfer-encoding: [^]*){2}/i.test(text.split('\r\n\r\n')[0] ?? '') },
  { rule: 'RFC 9112 section 6.3: not both Content-Length and Transfer-Encoding', applies: (text) => /content-length:/i.test(text) && /transfer-encoding:/i.test(text) },
  { rule: 'RFC 9110 section 4.2.4: no user information', applies: (text) => / http:\/\/[^/ ]*@/.test(text) },
  { rule: 'RFC 9112 section 2.2: empty lines are ignored before requests, not before responses', applies: (text) => text.startsWith('\r\nHTTP') || /^HTTP[^]*\r\n\r\n(?:[A-Z]{3})?\r\nHTTP/.test(text) },
  { rule: 'RFC 9110 section 7.8: an Upgrade may be ignored, then what follows is the next request', applies: (text) => text.includes('Upgrade: HTTP/2.0') },
  { rule: 'RFC 9110 section 5.1: names are tokens', applies: (text) => /\r\n[^:\r\n]* [^:\r\n]*:/.test(text.split('\r\n\r\n')[0] ?? '') && text.startsWith('HTTP') },
];
