import { formatDuration, parseDurationMs, parseRatio, parseSizeBytes } from '@remora/core/units';
import { z } from 'zod';

/**
 * The scalar notations of documents as zod types. Values stay as they were written until `compile`. What is wrong is
 * a custom issue whose `params` carry the violation's stable `code` and what was `expected`.
 */
export interface IssueParams {
  readonly code: string;
  readonly expected?: string;
}

/** What the text of a value stands for, where two spellings can mean the same: for comparing documents and for bounds. */
export type Notation = 'duration' | 'size' | 'ratio';

/** Notation of types made here, also through `.optional()`, `.meta()` and checks on them. */
export const notations = z.registry<{ readonly notation: Notation; readonly zeroMeans?: 'unlimited' }>();

interface Range {
  readonly min?: number;
  readonly max?: number;
}

interface DurationRange extends Range {
  /** Where `0s` switches the limit off, so that no bound `max` accepts it. */
  readonly zeroMeans?: 'unlimited';
}

function checked(expected: string, code: string, pattern: string | null, accepts: (text: string) => string | null): z.ZodString {
  const type = z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    const message = accepts(text);
    if (message !== null) context.addIssue({ code: 'custom', message, params: { code, expected } satisfies IssueParams });
  });
  return type.meta(pattern === null ? { description: expected } : { description: expected, pattern });
}

function rangeText(range: Range, format: (value: number) => string): string {
  if (range.min !== undefined && range.max !== undefined) return ` from ${format(range.min)} to ${format(range.max)}`;
  if (range.min !== undefined) return ` of at least ${format(range.min)}`;
  return range.max === undefined ? '' : ` of at most ${format(range.max)}`;
}

function outside(value: number, range: Range): boolean {
  return (range.min !== undefined && value < range.min) || (range.max !== undefined && value > range.max);
}

/** `250ms`, `5s`, `1m30s`; the range in milliseconds, inclusive. */
export function duration(range: DurationRange = {}): z.ZodString {
  const expected = `a duration such as 250ms, 5s or 1m30s${rangeText(range, formatDuration)}`;
  return checked(expected, 'invalid-duration', '^(\\d{1,9}(ms|s|m|h|d))+$', (text) => {
    const ms = parseDurationMs(text);
    if (ms === null) return `${JSON.stringify(text.slice(0, 40))} is not a duration`;
    return outside(ms, range) ? `${text} is out of range` : null;
  }).register(notations, { notation: 'duration', ...(range.zeroMeans === undefined ? {} : { zeroMeans: range.zeroMeans }) });
}

function formatSize(bytes: number): string {
  if (bytes >= 1024 ** 2 && bytes % 1024 ** 2 === 0) return `${bytes / 1024 ** 2}MiB`;
  return bytes >= 1024 && bytes % 1024 === 0 ? `${bytes / 1024}KiB` : `${bytes}B`;
}

/** `512B`, `64KiB`, `10MiB`; the range in bytes, inclusive. */
export function size(range: Range = {}): z.ZodString {
  const expected = `a size such as 512B, 64KiB or 10MiB${rangeText(range, formatSize)}`;
  return checked(expected, 'invalid-size', '^\\d{1,12}(B|KiB|MiB|GiB|KB|MB|GB)$', (text) => {
    const bytes = parseSizeBytes(text);
    if (bytes === null) return `${JSON.stringify(text.slice(0, 40))} is not a size`;
    return outside(bytes, range) ? `${text} is out of range` : null;
  }).register(notations, { notation: 'size' });
}

/** `0.2` or `20%`; the range as numbers from 0 to 1, inclusive. */
export function ratio(range: Range = {}): z.ZodUnion<readonly [z.ZodNumber, z.ZodString]> {
  const expected = `a ratio such as 0.2 or 20%${rangeText(range, (value) => `${value * 100}%`)}`;
  const low = range.min ?? 0;
  const high = range.max ?? 1;
  const text = checked(expected, 'invalid-ratio', '^\\d{1,3}(\\.\\d{1,6})?%$', (written) => {
    const value = parseRatio(written);
    if (value === null) return `${JSON.stringify(written.slice(0, 40))} is not a ratio`;
    return outside(value, range) ? `${written} is out of range` : null;
  });
  return z.union([z.number().min(low).max(high), text], { error: () => `must be ${expected}` }).meta({ description: expected }).register(notations, { notation: 'ratio' });
}

/** An address or a network: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`. */
export function cidr(): z.ZodString {
  return checked('an address or network such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32', 'invalid-cidr', null, (text) =>
    isCidr(text) ? null : `${JSON.stringify(text.slice(0, 60))} is not an address or network`);
}

const addresses = [z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()];

function isCidr(text: string): boolean {
  return !text.includes('%') && addresses.some((type) => type.safeParse(text).success);
}

const tokenPattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$";
const token = new RegExp(tokenPattern);

/** A field name (RFC 9110 section 5.1), at most 128 characters, in any case. */
export function headerName(): z.ZodString {
  return checked('a header name such as x-tenant, at most 128 characters', 'invalid-header-name', tokenPattern, (text) =>
    token.test(text) ? null : `${JSON.stringify(text.slice(0, 60))} is not a header name`);
}

/** A field value: no control characters (RFC 9110 section 5.5), no white space around it, at most 4,096 characters. */
export function headerValue(): z.ZodString {
  return checked('a header value without control characters, at most 4,096 characters', 'invalid-header-value', null, (text) => {
    if (text.length > 4096) return 'the value is longer than 4,096 characters';
    if (hasControlCharacter(text)) return 'the value has control characters';
    if (/[\u0100-\uffff]/.test(text)) return 'the value has characters beyond Latin-1';
    return text.trim() === text ? null : 'the value has white space around it';
  });
}

function hasControlCharacter(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}

/** A request method: a token in capitals as used on the wire. */
export function method(): z.ZodString {
  return checked('a method such as GET', 'invalid-method', '^[A-Z][A-Z-]{0,31}$', (text) =>
    /^[A-Z][A-Z-]{0,31}$/.test(text) ? null : `${JSON.stringify(text.slice(0, 40))} is not a method in capitals`);
}

/** Name of an entry of a named map: `perIp`, `partner-a`. */
export function entryName(): z.ZodString {
  return checked('a name of letters, digits, - and _, starting with a letter, at most 63 characters', 'invalid-name', '^[A-Za-z][A-Za-z0-9_-]{0,62}$', (text) =>
    /^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(text) ? null : `${JSON.stringify(text.slice(0, 80))} is not a name`);
}

/** A value of the vocabulary that this build cannot enforce: refused as such, never silently ignored. */
export function notAvailable(what: string): z.ZodType {
  return z.unknown().superRefine((_value, context) => {
    context.addIssue({ code: 'custom', message: `${what} is not available in this build`, params: { code: 'not-available' } satisfies IssueParams });
  });
}

/** One of the words; those of `later` belong to the vocabulary but cannot be enforced by this build yet. */
export function oneOf(words: readonly string[], later: readonly string[] = []): z.ZodString {
  const expected = `one of ${words.join(', ')}`;
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (words.includes(text)) return;
    const reserved = later.includes(text);
    const message = reserved ? `${text} is not available in this build` : `${JSON.stringify(text.slice(0, 40))} is not ${expected}`;
    context.addIssue({ code: 'custom', message, params: { code: reserved ? 'not-available' : 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected, enum: [...words] });
}
