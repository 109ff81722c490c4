import { describe, expect, test } from 'vitest';
import { seededRandom } from '@remora/core/random';
import { certificatePin, formatJoinToken, isPinned, parseJoinToken } from './join-token.ts';
import { renewalTimeMs } from './renewal-time.ts';

const token = { id: 'k3x9q2m7ab01', secret: 'S'.repeat(43), pin: certificatePin(Buffer.from('root')), trustDomain: 'shop.example' };

describe('join tokens', () => {
  test('are read as they were written, with what an editor adds', () => {
    const text = formatJoinToken(token);
    expect(text).toMatch(/^rmj1\.k3x9q2m7ab01\.S{43}\.[\w-]{43}\.shop\.example$/);
    expect(parseJoinToken(`${text}\n`)).toEqual(token);
  });

  test('of an authority that rolls name two roots', () => {
    const pin = `${token.pin}~${certificatePin(Buffer.from('next'))}`;
    expect(parseJoinToken(formatJoinToken({ ...token, pin }))).toEqual({ ...token, pin });
    expect([Buffer.from('root'), Buffer.from('next'), Buffer.from('other')].map((raw) => isPinned(pin, raw))).toEqual([true, true, false]);
    expect(parseJoinToken(formatJoinToken({ ...token, pin: `${pin}~${token.pin}` }))).toEqual(expect.stringMatching(/^is no/));
  });

  test.each(['', 'x', formatJoinToken(token).slice(0, -40), formatJoinToken({ ...token, secret: 'short' }), formatJoinToken({ ...token, trustDomain: 'Shop' }), formatJoinToken({ ...token, id: '__proto__' })])('%s is none, and the refusal shows nothing of it', (text) => {
    const problem = parseJoinToken(text);
    expect(problem).toEqual(expect.stringMatching(/^is no/));
    expect(problem).not.toContain('SSS');
  });
});

test('renewal: between 40 % and half of a life', () => {
  const random = seededRandom(7);
  const times = Array.from({ length: 1_000 }, () => renewalTimeMs({ fromMs: 1_000, toMs: 2_000 }, random));
  expect(Math.min(...times)).toBeGreaterThanOrEqual(1_400);
  expect(Math.max(...times)).toBeLessThanOrEqual(1_500);
  expect(new Set(times).size).toBeGreaterThan(50);
});
