import { expect, test } from 'vitest';
import { EncodedMessages } from './encoded-messages.ts';

const hash = 'ab'.repeat(32);
const bytes = Uint8Array.of(1, 2, 3);

test.each<[string, (messages: EncodedMessages) => Uint8Array]>([
  ['a chunk', (messages) => messages.chunk(hash, bytes)],
  ['a small message', (messages) => messages.shared('begin', () => ({ $case: 'commit', value: { version: undefined } }))],
  ['a whole update', (messages) => messages.whole('update', () => ({ begin: bytes, commit: bytes, hashes: [hash], resources: new Map([[hash, bytes]]) }))],
])('%s is encoded once, and what is kept of it holds no memory beside its own', (_what, encode) => {
  const messages = new EncodedMessages(1024);
  const first = encode(messages);
  expect(first.length).toBeGreaterThan(0);
  expect(first.buffer.byteLength).toBe(first.length);
  expect(encode(messages)).toBe(first);
});
