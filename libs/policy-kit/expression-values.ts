import type { Json } from '@remora/core/canonical-json';

/** What an expression computes with. Maps are objects whose own fields alone count: `__proto__` is a name like any other. */
export type ExpressionValue = string | number | boolean | null | Instant | Span | ExpressionFailure | readonly ExpressionValue[] | { readonly [name: string]: Json };

/** Why a part of an expression has no value. One per part, made when the expression is built. */
export class ExpressionFailure {
  readonly problem: string;

  constructor(problem: string) {
    this.problem = problem;
  }
}

/** A point in time. */
export class Instant {
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }
}

/** A length of time. */
export class Span {
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }
}

export function isMap(value: ExpressionValue): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Instant) && !(value instanceof Span) && !(value instanceof ExpressionFailure);
}

export function isList(value: ExpressionValue): value is readonly ExpressionValue[] {
  return Array.isArray(value);
}

/** Equality of CEL: numbers by value, lists and maps by content; values of different types differ. `spend` counts entries, and answers false at the limit. */
export function sameValue(a: ExpressionValue, b: ExpressionValue, spend: (steps: number) => boolean): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (a instanceof Instant) return b instanceof Instant && a.ms === b.ms;
  if (a instanceof Span) return b instanceof Span && a.ms === b.ms;
  if (isList(a)) return isList(b) && a.length === b.length && spend(a.length) && a.every((item, i) => sameValue(item, b[i] ?? null, spend));
  if (!isMap(a) || !isMap(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && spend(names.length) && names.every((name) => Object.hasOwn(b, name) && sameValue(a[name] ?? null, b[name] ?? null, spend));
}

/** Below, equal, above: -1, 0, 1; null where the two have no order. */
export function orderOf(a: ExpressionValue, b: ExpressionValue): number | null {
  if (typeof a === 'string' && typeof b === 'string') return byCodePoints(a, b);
  const [x, y] = [rank(a, b), rank(b, a)];
  if (x === null || y === null || Number.isNaN(x) || Number.isNaN(y)) return null;
  return x < y ? -1 : x > y ? 1 : 0;
}

function rank(value: ExpressionValue, other: ExpressionValue): number | null {
  if (typeof value === 'number') return typeof other === 'number' ? value : null;
  if (typeof value === 'boolean') return typeof other === 'boolean' ? Number(value) : null;
  if (value instanceof Instant) return other instanceof Instant ? value.ms : null;
  return value instanceof Span && other instanceof Span ? value.ms : null;
}

/** JavaScript compares UTF-16 units, CEL code points: they differ where one text has characters beyond the first plane. */
function byCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
  if (Number.isNaN(x)) return -1;
  if (Number.isNaN(y)) return 1;
  const [high, low] = [x >= 0xd800 && x <= 0xdfff, y >= 0xd800 && y <= 0xdfff];
  return high === low ? (x < y ? -1 : 1) : high ? 1 : -1;
}
