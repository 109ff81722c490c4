import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { formatSpiffeId, parseSpiffeId, subjectOfSpiffeId, subjectSpiffeId } from './spiffe-id.ts';

const long = 'a'.repeat(255);

describe('SPIFFE ids', () => {
  test.each([
    ['spiffe://shop.example/service/orders', 'shop.example', '/service/orders'],
    ['spiffe://shop.example', 'shop.example', ''],
    ['spiffe://a_b-1.c/x', 'a_b-1.c', '/x'],
    ['spiffe://1.2.3.4/service/a', '1.2.3.4', '/service/a'],
    ['spiffe://t/Upper/Case.And_9', 't', '/Upper/Case.And_9'],
    ['spiffe://t/...', 't', '/...'],
    [`spiffe://${long}/x`, long, '/x'],
    [`spiffe://t/${'x'.repeat(2_048 - 11)}`, 't', `/${'x'.repeat(2_048 - 11)}`],
  ])('%s', (text, trustDomain, path) => {
    expect(parseSpiffeId(text)).toEqual({ ok: true, id: { trustDomain, path } });
    expect(formatSpiffeId({ trustDomain, path })).toBe(text);
  });

  test.each([
    ['', 'does not begin with spiffe://'],
    ['https://shop.example/x', 'does not begin with spiffe://'],
    ['SPIFFE://shop.example/x', 'does not begin with spiffe://'],
    ['spiffe:/shop.example/x', 'does not begin with spiffe://'],
    ['spiffe:///service/orders', 'a trust domain that is empty'],
    ['spiffe://', 'a trust domain that is empty'],
    ['spiffe://Shop.example/x', 'a trust domain that has other characters'],
    ['spiffe://shop.example:8443/x', 'a trust domain that has other characters'],
    ['spiffe://user@shop.example/x', 'a trust domain that has other characters'],
    ['spiffe://%61/x', 'a trust domain that has other characters'],
    ['spiffe://shöp.example/x', 'a trust domain that has other characters'],
    [`spiffe://${long}a/x`, 'more than 255 characters'],
    ['spiffe://t/', 'an empty path segment'],
    ['spiffe://t//x', 'an empty path segment'],
    ['spiffe://t/x/', 'an empty path segment'],
    ['spiffe://t/./x', 'a path segment that is . or ..'],
    ['spiffe://t/x/..', 'a path segment that is . or ..'],
    ['spiffe://t/%2e%2e/x', 'other characters'],
    ['spiffe://t/x?q', 'other characters'],
    ['spiffe://t/x#f', 'other characters'],
    ['spiffe://t/x y', 'other characters'],
    ['spiffe://t/x\0', 'other characters'],
    ['spiffe://t?x', 'other characters'],
    [`spiffe://t/${'x'.repeat(2_048)}`, 'at most 2048'],
  ])('%s is refused', (text, problem) => {
    const result = parseSpiffeId(text);
    expect(result.ok ? '' : result.problem).toContain(problem);
  });

  test('whatever is read is written back as it was, and nothing throws', () => {
    const texts = fc.oneof(fc.string(), fc.string().map((text) => `spiffe://${text}`), fc.constantFrom('spiffe://a/b'));
    fc.assert(fc.property(texts, (text) => {
      const result = parseSpiffeId(text);
      expect(result.ok ? formatSpiffeId(result.id) : text).toBe(text);
    }));
  });

  test('subjects', () => {
    for (const kind of ['service', 'gateway'] as const) {
      const id = subjectSpiffeId('t', { kind, name: 'orders' });
      expect(subjectOfSpiffeId(id)).toEqual({ kind, name: 'orders' });
    }
    for (const path of ['', '/control-plane', '/service', '/service/', '/service/a/b', '/ns/x/sa/y', '/constructor/x']) expect(subjectOfSpiffeId({ trustDomain: 't', path })).toBeNull();
  });
});
