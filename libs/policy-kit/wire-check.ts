import { WireError } from './runtime-kind.ts';

/**
 * Bounds of wire messages, checked again where they are decoded: bytes may come from a damaged disk or another build.
 * Every function throws WireError with the pointer as the author knows it.
 */
export function decodeMessage<M>(type: { decode(bytes: Uint8Array): M }, bytes: Uint8Array): M {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new WireError('', 'malformed-message', `not a message of this kind: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A whole number within [min, max]. */
export function wholeNumber(value: number, pointer: string, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new WireError(pointer, 'out-of-range', `${value} is not a whole number from ${min} to ${max}`);
}

/** A finite number within [min, max]. */
export function realNumber(value: number, pointer: string, min: number, max: number): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new WireError(pointer, 'out-of-range', `${value} is not from ${min} to ${max}`);
}

/** One of the words. */
export function oneWord<W extends string>(value: string, pointer: string, words: readonly W[]): W {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new WireError(pointer, 'invalid-value', `${JSON.stringify(value.slice(0, 40))} is not one of ${words.join(', ')}`);
}

/** A list of at most `max` entries. */
export function boundedList<T>(list: readonly T[], pointer: string, max: number): readonly T[] {
  if (list.length <= max) return list;
  throw new WireError(pointer, 'too-many', `${list.length} entries, at most ${max} are accepted`);
}

/** Text that matches, at most `max` characters. */
export function boundedText(text: string, pointer: string, max: number, pattern?: RegExp): string {
  if (text.length > max) throw new WireError(pointer, 'too-long', `${text.length} characters, at most ${max} are accepted`);
  if (pattern && !pattern.test(text)) throw new WireError(pointer, 'invalid-value', `${JSON.stringify(text.slice(0, 60))} is not accepted here`);
  return text;
}

/** What a field name and a field value may be (RFC 9110 sections 5.1 and 5.5). */
const namePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const lineBreak = /[\0\r\n]/;

export function wireHeaderName(name: string, pointer: string): string {
  return boundedText(name, pointer, 128, namePattern).toLowerCase();
}

export function wireHeaderValue(value: string, pointer: string): string {
  if (lineBreak.test(value)) throw new WireError(pointer, 'invalid-value', 'the value has control characters');
  return boundedText(value, pointer, 4096);
}
