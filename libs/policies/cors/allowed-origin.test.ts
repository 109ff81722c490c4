import * as fc from 'fast-check';
import { effectiveSection } from '@remora/testing/effective-section';
import { describe, expect, test } from 'vitest';
import { isAllowedOrigin } from './allowed-origin.ts';
import { corsAuthoring } from './compile.ts';
import { corsWire } from './wire.ts';

const settings = corsWire.decode(corsAuthoring.compile(effectiveSection(corsAuthoring, {
  origins: ['https://app.example', 'https://*.b.example:8443', { regex: 'https://pr-[0-9]+\\.c\\.example' }],
})).body);

describe('isAllowedOrigin', () => {
  test.each([
    ['https://app.example', true], ['https://x.b.example:8443', true], ['https://x.y.b.example:8443', true], ['https://pr-12.c.example', true],
    ['https://APP.example', false], ['http://app.example', false], ['https://app.example:443', false], ['https://app.example/', false],
    ['https://app.example.evil.example', false], ['https://b.example:8443', false], ['https://.b.example:8443', false], ['https://x.b.example', false],
    ['https://evil.example/.b.example:8443', false], ['https://evil.example?.b.example:8443', false], ['https://evil.example#.b.example:8443', false],
    ['https://u@evil.b.example:8443', false], ['https://evil:1.b.example:8443', false], ['https://evil.example\\.b.example:8443', false],
    ['https://pr-12.c.example.evil', false], ['xhttps://pr-1.c.example', false], ['https://pr-1xc.example', false], ['null', false], ['', false],
    [`https://${'a'.repeat(400)}.b.example:8443`, false],
  ])('%s', (origin, wanted) => expect(isAllowedOrigin(settings, origin)).toBe(wanted));

  test('what is allowed is on a host that was named, as a browser reads it', () => {
    const piece = fc.constantFrom('https://', 'http://', 'app.example', '.b.example:8443', 'evil', '.', '/', '@', ':', '?', '#', '\\', '%2f', 'pr-1.c.example', ' ');
    fc.assert(fc.property(fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')), (origin) => {
      if (!isAllowedOrigin(settings, origin)) return;
      const { hostname } = new URL(origin);
      expect(hostname === 'app.example' || hostname.endsWith('.b.example') || hostname.endsWith('.c.example')).toBe(true);
    }), { numRuns: 2_000 });
    expect(isAllowedOrigin(settings, 'https://app.example')).toBe(true);
  });
});
