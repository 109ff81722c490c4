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

  it('accepts what llhttp accepts, except where a rule below says why not', () => {
    const stricter: string[] = [];
    for (const one of strict.filter(({ expect }) => expect !== 'reject')) {
      const reader = read(one, [Buffer.from(one.bytes, 'base64')]);
      if (reader.state !== 'refused') continue;
      stricter.push(`${one.id} ${one.title}`);
    }
    expect(stricter.join('\n')).toBe('');
  });
});
