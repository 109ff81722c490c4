import type { Json } from '@remora/core/canonical-json';
import type { z } from 'zod';
import { magnitude, notationOf } from './canonical-form.ts';

/**
 * Order of two values of one field by what they mean: numbers, and durations, sizes and ratios in any spelling. Negative
 * where `a` is less; null where they cannot be compared.
 */
export function compareMagnitudes(a: Json, b: Json, type: z.ZodType | undefined): number | null {
  const [left, right] = [amountOf(a, type), amountOf(b, type)];
  if (left === null || right === null) return null;
  return left === right ? 0 : left < right ? -1 : 1;
}

function amountOf(value: Json, type: z.ZodType | undefined): number | null {
  const notation = type === undefined ? null : notationOf(type);
  if (notation !== null) return magnitude(value, notation);
  return typeof value === 'number' ? value : null;
}
