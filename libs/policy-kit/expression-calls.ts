import { expressionLimits } from './expression-limits.ts';
import { ExpressionFailure, Instant, Span, isList, isMap, orderOf, sameValue, type ExpressionValue } from './expression-values.ts';

/** Steps of one evaluation. `spend` answers false where there are none left. */
export interface Budget {
  steps: number;
  readonly spend: (steps: number) => boolean;
}

type Call = (args: readonly ExpressionValue[], budget: Budget) => ExpressionValue;

/** Functions at run time: types are looked at again, because what a claim is shows only now. None throws. */
export const expressionCalls: ReadonlyMap<string, Call> = new Map<string, Call>([
  ['_==_', (args, budget) => equal(args, budget)],
  ['_!=_', (args, budget) => negated(equal(args, budget))],
  ['!_', ([a]) => (typeof a === 'boolean' ? !a : mismatch)],
  ['@not_strictly_false', ([a]) => a !== false],
  ['_<_', (args) => ordered(args, (order) => order < 0)],
  ['_<=_', (args) => ordered(args, (order) => order <= 0)],
  ['_>_', (args) => ordered(args, (order) => order > 0)],
  ['_>=_', (args) => ordered(args, (order) => order >= 0)],
  ['_+_', add],
  ['_-_', subtract],
  ['-_', ([a]) => (typeof a === 'number' ? -a : mismatch)],
  ['_*_', ([a, b]) => (typeof a === 'number' && typeof b === 'number' ? counted(a * b, a, b) : mismatch)],
  ['_/_', ([a, b]) => (typeof a === 'number' && typeof b === 'number' ? a / b : mismatch)],
  ['wholeDivision', ([a, b]) => whole(a, b, (x, y) => Math.trunc(x / y))],
  ['_%_', ([a, b]) => whole(a, b, (x, y) => x % y)],
  ['@in', contained],
  ['_[_]', at],
  ['size', ([a]) => sizeOf(a)],
  ['startsWith', ([a, b]) => (typeof a === 'string' && typeof b === 'string' ? a.startsWith(b) : mismatch)],
  ['endsWith', ([a, b]) => (typeof a === 'string' && typeof b === 'string' ? a.endsWith(b) : mismatch)],
  ['contains', ([a, b], { spend }) => (typeof a !== 'string' || typeof b !== 'string' ? mismatch : spend(pieces(a) * pieces(b)) ? a.includes(b) : exhausted)],
  ['lowerAscii', ([a], { spend }) => (typeof a === 'string' ? edited(a, spend, /[A-Z]+/g, (run) => run.toLowerCase()) : mismatch)],
  ['upperAscii', ([a], { spend }) => (typeof a === 'string' ? edited(a, spend, /[a-z]+/g, (run) => run.toUpperCase()) : mismatch)],
  ['trim', ([a]) => (typeof a === 'string' ? a.trim() : mismatch)],
  ['split', split],
  ['int', ([a]) => toInt(a)],
  ['double', ([a]) => (typeof a === 'number' ? a : typeof a === 'string' && a.length <= 40 && /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(a) ? Number(a) : mismatch)],
  ['string', ([a]) => (typeof a === 'string' ? a : typeof a === 'number' || typeof a === 'boolean' ? String(a) : a instanceof Instant ? instantText(a) : mismatch)],
  ['timestamp', ([a]) => toInstant(a)],
  ['duration', ([a]) => (a instanceof Span ? a : typeof a === 'string' ? readSpan(a) : mismatch)],
  ['getFullYear', ([a]) => ofDate(a, (date) => date.getUTCFullYear())],
  ['getMonth', ([a]) => ofDate(a, (date) => date.getUTCMonth())],
  ['getDate', ([a]) => ofDate(a, (date) => date.getUTCDate())],
  ['getDayOfMonth', ([a]) => ofDate(a, (date) => date.getUTCDate() - 1)],
  ['getDayOfWeek', ([a]) => ofDate(a, (date) => date.getUTCDay())],
  ['getHours', ([a]) => ofDate(a, (date) => date.getUTCHours())],
  ['getMinutes', ([a]) => ofDate(a, (date) => date.getUTCMinutes())],
  ['getSeconds', ([a]) => ofDate(a, (date) => date.getUTCSeconds())],
]);

export const exhausted = new ExpressionFailure(`it took more than ${expressionLimits.stepsMax} steps`);
export const mismatch = new ExpressionFailure('a value has another type than the expression needs');
const missing = new ExpressionFailure('there is no such entry');
const outOfRange = new ExpressionFailure('a number or time is out of range');
const tooLong = new ExpressionFailure(`a text became longer than ${expressionLimits.madeTextMax} characters`);

export function pieces(text: string): number {
  return 1 + (text.length >>> 6);
}

function equal([a = null, b = null]: readonly ExpressionValue[], { spend }: Budget): ExpressionValue {
  let enough = true;
  const same = sameValue(a, b, (steps) => (enough &&= spend(steps)));
  return enough ? same : exhausted;
}

function negated(value: ExpressionValue): ExpressionValue {
  return typeof value === 'boolean' ? !value : value;
}

function ordered([a = null, b = null]: readonly ExpressionValue[], holds: (order: number) => boolean): ExpressionValue {
  const order = orderOf(a, b);
  if (order !== null) return holds(order);
  return typeof a === 'number' && typeof b === 'number' ? false : mismatch;
}

/** Whole numbers stay exact, or there is no result. */
function counted(result: number, a: number, b: number): ExpressionValue {
  return Number.isInteger(a) && Number.isInteger(b) && !Number.isSafeInteger(result) ? outOfRange : result;
}

function whole(a: ExpressionValue | undefined, b: ExpressionValue | undefined, of: (a: number, b: number) => number): ExpressionValue {
  if (typeof a !== 'number' || typeof b !== 'number' || !Number.isInteger(a) || !Number.isInteger(b)) return mismatch;
  return b === 0 ? outOfRange : of(a, b);
}

function add([a, b]: readonly ExpressionValue[], { spend }: Budget): ExpressionValue {
  if (typeof a === 'number' && typeof b === 'number') return counted(a + b, a, b);
  if (typeof a === 'string' && typeof b === 'string') return a.length + b.length > expressionLimits.madeTextMax ? tooLong : spend(pieces(a) + pieces(b)) ? a + b : exhausted;
  if (a !== undefined && b !== undefined && isList(a) && isList(b)) return spend(a.length + b.length) ? [...a, ...b] : exhausted;
  if (a instanceof Instant && b instanceof Span) return new Instant(a.ms + b.ms);
  if (a instanceof Span && b instanceof Instant) return new Instant(a.ms + b.ms);
  return a instanceof Span && b instanceof Span ? new Span(a.ms + b.ms) : mismatch;
}

function subtract([a, b]: readonly ExpressionValue[]): ExpressionValue {
  if (typeof a === 'number' && typeof b === 'number') return counted(a - b, a, b);
  if (a instanceof Instant && b instanceof Instant) return new Span(a.ms - b.ms);
  if (a instanceof Instant && b instanceof Span) return new Instant(a.ms - b.ms);
  return a instanceof Span && b instanceof Span ? new Span(a.ms - b.ms) : mismatch;
}

function contained([item = null, within = null]: readonly ExpressionValue[], { spend }: Budget): ExpressionValue {
  if (isList(within)) {
    if (!spend(within.length)) return exhausted;
    for (const one of within) if (sameValue(item, one, spend)) return true;
    return false;
  }
  return isMap(within) && typeof item === 'string' ? Object.hasOwn(within, item) : mismatch;
}

function at([of = null, key = null]: readonly ExpressionValue[]): ExpressionValue {
  if (isList(of)) return typeof key === 'number' ? (of[key] ?? missing) : mismatch;
  if (!isMap(of) || typeof key !== 'string') return mismatch;
  return Object.hasOwn(of, key) ? (of[key] ?? null) : missing;
}

/** Of a text in code points, as CEL has it. */
function sizeOf(value: ExpressionValue | undefined): ExpressionValue {
  if (typeof value === 'string') {
    let size = value.length;
    for (let i = 0; i < value.length - 1; i += 1) if ((value.charCodeAt(i) & 0xfc00) === 0xd800 && (value.charCodeAt(i + 1) & 0xfc00) === 0xdc00) size -= 1;
    return size;
  }
  if (value === undefined) return mismatch;
  return isList(value) ? value.length : isMap(value) ? Object.keys(value).length : mismatch;
}

function edited(text: string, spend: Budget['spend'], pattern: RegExp, edit: (run: string) => string): ExpressionValue {
  if (text.length > expressionLimits.madeTextMax) return tooLong;
  return spend(pieces(text)) ? text.replace(pattern, edit) : exhausted;
}

function split([a, b]: readonly ExpressionValue[], { spend }: Budget): ExpressionValue {
  if (typeof a !== 'string' || typeof b !== 'string') return mismatch;
  if (!spend(pieces(a) * pieces(b))) return exhausted;
  const parts = a.split(b, expressionLimits.stepsMax);
  return spend(parts.length) ? parts : exhausted;
}

function toInt(value: ExpressionValue | undefined): ExpressionValue {
  if (value instanceof Instant) return Math.floor(value.ms / 1000);
  const number = typeof value === 'number' ? Math.trunc(value) : typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : null;
  if (number === null) return mismatch;
  return Number.isSafeInteger(number) ? number : outOfRange;
}

const lastMs = 253_402_300_799_999;
const firstMs = -62_135_596_800_000;

function toInstant(value: ExpressionValue | undefined): ExpressionValue {
  if (value instanceof Instant) return value;
  let ms = Number.NaN;
  if (typeof value === 'number') ms = value * 1000;
  else if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(value)) ms = Date.parse(value);
  else return mismatch;
  return ms >= firstMs && ms <= lastMs ? new Instant(ms) : outOfRange;
}

function instantText({ ms }: Instant): ExpressionValue {
  return ms >= firstMs && ms <= lastMs ? new Date(ms).toISOString() : outOfRange;
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** `1h30m`, `-1.5s`. */
function readSpan(text: string): ExpressionValue {
  if (!/^-?(?:\d{1,12}(?:\.\d{1,9})?(?:ms|[hms]))+$/.test(text)) return mismatch;
  let ms = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[hms])/g)) ms += Number(amount) * (unitMs[unit] ?? 0);
  return new Span(text.startsWith('-') ? -ms : ms);
}

function ofDate(value: ExpressionValue | undefined, read: (date: Date) => number): ExpressionValue {
  return value instanceof Instant && value.ms >= firstMs && value.ms <= lastMs ? read(new Date(value.ms)) : mismatch;
}
