import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ClientHello } from './client-hello.ts';
import { ClientHelloReader } from './client-hello-reader.ts';

const folder = new URL('./testdata/hellos/', import.meta.url);
const corpus = readdirSync(folder).map((name): [string, Buffer] => [name, Buffer.from(readFileSync(new URL(name, folder), 'latin1').replaceAll(/\s/g, ''), 'hex')]);

interface Reading {
  readonly verdict: string;
  readonly hello: ClientHello | null;
}

function read(...parts: readonly Buffer[]): Reading {
  const reader = new ClientHelloReader();
  let verdict = 'more';
  for (const part of parts) verdict = reader.feed(part, 0, part.length);
  return { verdict, hello: reader.hello };
}

/** What real clients say: OpenSSL, curl, Python, Go and Node, the last two with post-quantum key shares. */
describe.each(corpus)('%s', (name, bytes) => {
  const whole = read(bytes);

  test('is read', () => {
    const serverName = name.includes('no-name') ? { kind: 'absent' } : { kind: 'host', host: 'shop.test' };
    expect(whole).toMatchObject({ verdict: 'hello', hello: { serverName, encrypted: false } });
    expect(whole.hello?.versions[0]).toBe(name.includes('tls12') ? 0x0303 : 0x0304);
  });

  test('reads the same cut in two anywhere, and is incomplete at every shorter length', () => {
    for (let at = 0; at < bytes.length; at++) {
      expect(read(bytes.subarray(0, at), bytes.subarray(at))).toEqual(whole);
      expect(read(bytes.subarray(0, at)).verdict).toBe('more');
    }
  });

  test('with any one byte changed has one verdict, whole or byte by byte', () => {
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ (1 << (at % 8));
      const once = read(changed);
      const reader = new ClientHelloReader();
      let verdict = 'more';
      for (let i = 0; i < changed.length && verdict === 'more'; i++) verdict = reader.feed(changed, i, i + 1);
      expect({ verdict, hello: reader.hello }).toEqual(once);
    }
  });
});
