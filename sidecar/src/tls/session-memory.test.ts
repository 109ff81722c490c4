import { expect, test } from 'vitest';
import { SessionMemory } from './session-memory.ts';

const kept = (text: string, validToMs = 100): { session: Buffer; validToMs: number } => ({ session: Buffer.from(text), validToMs });
const textOf = (memory: SessionMemory, key: string, nowMs = 0): string | undefined => memory.take(key, nowMs)?.session.toString();

test('each session is used once, the newest first, for its own key only', () => {
  const memory = new SessionMemory();
  memory.put('a', kept('1'));
  memory.put('a', kept('2'));
  memory.put('b', kept('3'));
  expect([textOf(memory, 'a'), textOf(memory, 'a'), textOf(memory, 'a'), textOf(memory, 'b'), textOf(memory, 'c')]).toEqual(['2', '1', undefined, '3', undefined]);
});

test('none is used once the certificate behind it has ended, or where nobody knows when it ends', () => {
  const memory = new SessionMemory();
  memory.put('a', kept('1', 100));
  expect(textOf(memory, 'a', 100)).toBeUndefined();
  memory.put('a', kept('2', 0));
  expect(textOf(memory, 'a', 1)).toBeUndefined();
});

test('at most 4 for a key and 256 keys: the oldest go', () => {
  const memory = new SessionMemory();
  for (const text of ['1', '2', '3', '4', '5']) memory.put('a', kept(text));
  expect(['5', '4', '3', '2', undefined]).toEqual(Array.from({ length: 5 }, () => textOf(memory, 'a')));
  for (let i = 0; i < 257; i++) memory.put(`host-${i}`, kept(String(i)));
  expect([textOf(memory, 'host-0'), textOf(memory, 'host-1'), textOf(memory, 'host-256')]).toEqual([undefined, '1', '256']);
});
