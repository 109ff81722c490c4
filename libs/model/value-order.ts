import type { Json } from '@remora/core/canonical-json';
import type { z } from 'zod';
import { magnitude, notationMetaOf } from './canonical-form.ts';
import { shapeOf } from './schema-shape.ts';

/**
 * Order of two values of one field by what they mean: numbers, and durations, sizes and ratios in any spelling. `unlimited`,
 * and a zero that means it, are above everything. Negative where `a` is less; null where they cannot be compared.
 */
export function compareMagnitudes(a: Json, b: Json, type: z.ZodType | undefined): number | null {
  const [left, right] = [amountOf(a, type), amountOf(b, type)];
  if (left === null || right === null) return null;
  return left === right ? 0 : left < right ? -1 : 1;
}

/** What a value amounts to where its type has an order; null where it has none. */
export function amountOf(value: Json, type: z.ZodType | undefined): number | null {
  if (value === 'unlimited') return Number.POSITIVE_INFINITY;
  const meta = type === undefined ? undefined : notationMetaOf(type);
  if (meta !== undefined) {
    const amount = magnitude(value, meta.notation);
    return amount === 0 && meta.zeroMeans === 'unlimited' ? Number.POSITIVE_INFINITY : amount;
  }
  const shape = type === undefined ? undefined : shapeOf(type);
  if (shape?.kind === 'union') {
    for (const option of shape.options) {
      const amount = amountOf(value, option);
      if (amount !== null) return amount;
    }
    return null;
  }
  return typeof value === 'number' ? value : null;
}
