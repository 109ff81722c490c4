import { joinPointer } from '@remora/core/pointer';
import { suggest } from '@remora/core/suggest';
import type { Violation } from '@remora/core/violation';
import type { z } from 'zod';
import { namesBelow, shapeOf, taggedOption, typesBelow } from './schema-shape.ts';

type Issue = z.core.$ZodIssue;

/** Everything zod found, as violations with pointers, what was expected, and the nearest spelling. */
export function issueViolations(schema: z.ZodType, issues: readonly Issue[], base = ''): Violation[] {
  return issues.flatMap((one) => translate(schema, one, base));
}

function translate(schema: z.ZodType, one: Issue, base: string): Violation[] {
  const pointer = joinPointer(base, ...one.path.map(String));
  switch (one.code) {
    case 'unrecognized_keys':
      return one.keys.map((key) => unknownField(schema, one, key, pointer));
    case 'invalid_union':
      return translateUnion(schema, one, pointer, base);
    case 'invalid_key':
      return one.issues.map((inner) => violation(pointer, codeOf(inner), inner.message, expectedOf(inner)));
    case 'invalid_value':
      return [violation(pointer, missing(one) ? 'missing-field' : 'invalid-value', missing(one) ? 'is missing' : `is not ${listed(one.values)}`, listed(one.values), suggestWord(one.input, one.values))];
    case 'invalid_type':
      return [violation(pointer, missing(one) ? 'missing-field' : 'wrong-type', missing(one) ? 'is missing' : typeMessage(one, maySay(one, pointer)), expectedType(one))];
    case 'too_small':
    case 'too_big':
      return [sizeViolation(one, pointer)];
    case 'custom':
      return [violation(pointer, codeOf(one), withoutSecret(one.message, pointer), expectedOf(one), suggestionOf(one))];
    case 'invalid_format':
    case 'not_multiple_of':
    case 'invalid_element':
      return [violation(pointer, 'invalid-value', one.message, saidExpected(one.message))];
    default:
      return [violation(pointer, 'invalid-value', 'is not valid')];
  }
}

function violation(pointer: string, code: string, message: string, expected?: string, suggestion?: string): Violation {
  return { pointer, code, message, ...(expected === undefined ? {} : { expected }), ...(suggestion === undefined ? {} : { suggestion }) };
}

function unknownField(schema: z.ZodType, one: Issue, key: string, pointer: string): Violation {
  let types: readonly z.ZodType[] = [schema];
  for (const segment of one.path) types = types.flatMap((type) => typesBelow(type, String(segment)));
  const names = [...new Set(types.flatMap((type) => namesBelow(meantOption(type, one.input))))].filter((name) => name !== key);
  const expected = names.length === 0 || names.length > 40 ? undefined : `one of ${names.join(', ')}`;
  return violation(joinPointer(pointer, key), 'unknown-field', `there is no field ${quote(key)} here`, expected, suggest(key, names));
}

/** Of a tagged union the option that the value says. */
function meantOption(type: z.ZodType, input: unknown): z.ZodType {
  const shape = shapeOf(type);
  if (shape.kind !== 'tagged' || input === null || typeof input !== 'object') return type;
  return taggedOption(shape, (input as Readonly<Record<string, unknown>>)[shape.tag]) ?? type;
}

/** The option that was most likely meant: the one whose problems lie deepest, then the one with the fewest. */
function translateUnion(schema: z.ZodType, one: Extract<Issue, { code: 'invalid_union' }>, pointer: string, base: string): Violation[] {
  if ('discriminator' in one && typeof one.discriminator === 'string') {
    const options = 'options' in one && Array.isArray(one.options) ? one.options.map(String) : [];
    return [violation(pointer, options.length > 0 ? 'invalid-value' : 'missing-field', `its ${one.discriminator} says none of the kinds there are`, options.length > 0 ? `one of ${options.join(', ')}` : undefined)];
  }
  const ranked = one.errors
    .map((issues) => ({ issues, depth: Math.max(0, ...issues.map((inner) => inner.path.length + (inner.code === 'invalid_type' || inner.code === 'invalid_value' ? 0 : 0.5))) }))
    .sort((a, b) => b.depth - a.depth || a.issues.length - b.issues.length);
  const best = ranked[0];
  if (best === undefined || best.depth === 0) return [violation(pointer, missing(one) ? 'missing-field' : 'wrong-type', missing(one) ? 'is missing' : `is ${nameOfType(one.input, maySay(one, pointer))}`, saidExpected(one.message))];
  return best.issues.flatMap((inner) => translate(schema, { ...inner, path: [...one.path, ...inner.path] }, base));
}

function sizeViolation(one: Extract<Issue, { code: 'too_small' | 'too_big' }>, pointer: string): Violation {
  const low = one.code === 'too_small';
  const bound = String(low ? one.minimum : one.maximum);
  const single = bound === '1';
  const unit = one.origin === 'string' ? (single ? ' character' : ' characters') : one.origin === 'array' ? (single ? ' entry' : ' entries') : '';
  const text = `${low ? 'at least' : 'at most'} ${bound}${unit}`;
  const code = unit === '' ? 'out-of-range' : low ? 'too-few' : 'too-many';
  return violation(pointer, code, unit === '' ? `must be ${text}` : `must have ${text}`, text);
}

/** zod reports with `input` only where asked; absence shows in the input. */
function missing(one: Issue): boolean {
  return one.input === undefined;
}

function typeMessage(one: Extract<Issue, { code: 'invalid_type' }>, said: boolean): string {
  if (one.message.startsWith('must be ')) return `is ${nameOfType(one.input, said)}`;
  if (!one.message.startsWith('Invalid input')) return one.message;
  if (one.input === null) return 'is empty';
  return `is ${nameOfType(one.input, said)}, not ${typeNames[one.expected] ?? one.expected}`;
}

/**
 * Whether a message may repeat what was written. Not where the name of the field speaks of secrets, nor where only a map or list belongs: a password stands there
 * instead of `{secret: NAME}` more often than anything else, and answers end up in logs of pipelines.
 */
function maySay(one: Extract<Issue, { code: 'invalid_type' | 'invalid_union' }>, pointer: string): boolean {
  if (one.code === 'invalid_type' && one.expected === 'boolean') return true;
  if (mayBeSecret(pointer)) return false;
  return one.code === 'invalid_type' ? !collections.has(one.expected) : one.errors.flat().some((option) => option.path.length === 0 && !(option.code === 'invalid_type' && collections.has(option.expected)));
}

/**
 * Our own messages begin with the text that is wrong, in quotes: a password under `secret` is no name of a Secret. Addresses lose the part before the @, wherever
 * they stand.
 */
function withoutSecret(message: string, pointer: string): string {
  const said = mayBeSecret(pointer) && !message.includes(' is not one of ') ? message.replace(/^"(?:[^"\\]|\\.)*"/, 'the text') : message;
  return said.replace(/[^\s"/@]*:[^\s"/@]*@/g, '…@');
}

/** By the names of the field and of what it is in. */
function mayBeSecret(pointer: string): boolean {
  return secretNames.test(pointer.split('/').slice(-2).join('/'));
}

const secretNames = /passw|secret|token|credential|(?:session|private|shared|api)key/i;
const collections: ReadonlySet<string> = new Set(['object', 'record', 'map', 'array', 'tuple', 'set']);

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text', number: 'a number', int: 'a whole number', boolean: 'true or false', object: 'a map', record: 'a map', array: 'a list',
};

/** `said`: with the value itself. */
function nameOfType(value: unknown, said: boolean): string {
  if (Array.isArray(value)) return 'a list';
  if (value === null) return 'empty';
  if (typeof value === 'string') return said ? `the text ${quote(value)}` : 'a text';
  if (typeof value === 'number') return said ? `the number ${value}` : 'a number';
  return typeof value === 'boolean' ? String(value) : 'a map';
}

function expectedType(one: Extract<Issue, { code: 'invalid_type' }>): string {
  return saidExpected(one.message) ?? typeNames[one.expected] ?? one.expected;
}

/** Our own messages say what would be right. */
function saidExpected(message: string): string | undefined {
  return /^must be (.+)$/s.exec(message)?.[1];
}

function listed(values: readonly unknown[]): string {
  return values.length === 1 ? String(values[0]) : `one of ${values.map(String).join(', ')}`;
}

function suggestWord(input: unknown, values: readonly unknown[]): string | undefined {
  return typeof input === 'string' ? suggest(input, values.map(String)) : undefined;
}

function codeOf(one: Issue): string {
  const code = one.code === 'custom' ? one.params?.['code'] : undefined;
  return typeof code === 'string' ? code : 'invalid-value';
}

function expectedOf(one: Issue): string | undefined {
  const expected = one.code === 'custom' ? one.params?.['expected'] : undefined;
  return typeof expected === 'string' ? expected : undefined;
}

/** `one of a, b, c` as expected makes a suggestion possible. */
function suggestionOf(one: Issue): string | undefined {
  if (codeOf(one) === 'not-available') return undefined;
  const said = one.code === 'custom' ? one.params?.['suggestion'] : undefined;
  if (typeof said === 'string') return said;
  const words = /^one of (.+)$/.exec(expectedOf(one) ?? '')?.[1]?.split(', ');
  return words !== undefined && typeof one.input === 'string' ? suggest(one.input, words) : undefined;
}

function quote(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 60));
}
