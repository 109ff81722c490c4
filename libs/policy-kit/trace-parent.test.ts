import { expect, test } from 'vitest';
import { isTraceParent } from './trace-parent.ts';

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = '00f067aa0ba902b7';

test.each([
  [`00-${trace}-${parent}-01`, true],
  [`00-${trace}-${parent}-ff`, true],
  [`cc-${trace}-${parent}-01`, true],
  [`cc-${trace}-${parent}-01-what-comes-later`, true],
  [`cc-${trace}-${parent}-01.what`, false],
  [`00-${trace}-${parent}-01-more`, false],
  [`ff-${trace}-${parent}-01`, false],
  [`00-${trace.toUpperCase()}-${parent}-01`, false],
  [`00-${'0'.repeat(32)}-${parent}-01`, false],
  [`00-${trace}-${'0'.repeat(16)}-01`, false],
  [`00-${trace}-${parent}-0`, false],
  [`00-${trace}-${parent}-0x`, false],
  [`00_${trace}-${parent}-01`, false],
  ['', false],
])('%s', (text, wanted) => expect(isTraceParent(text)).toBe(wanted));
