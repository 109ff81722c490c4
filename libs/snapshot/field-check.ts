import { SnapshotErrors } from './snapshot-error.ts';

/** Checks the fields of one resource and reports what is wrong with a pointer. Bounds hold for every sender. */
export class FieldCheck {
  readonly #errors: SnapshotErrors;
  readonly resource: string;

  constructor(errors: SnapshotErrors, resource: string) {
    this.#errors = errors;
    this.resource = resource;
  }

  fail(pointer: string, code: string, message: string): void {
    this.#errors.add({ resource: this.resource, kind: '', pointer, code, message, policies: [] });
  }

  range(value: number, pointer: string, bounds: { readonly min: number; readonly max: number }): number {
    if (!Number.isInteger(value) || value < bounds.min || value > bounds.max) {
      this.fail(pointer, 'out-of-range', `must be between ${bounds.min} and ${bounds.max}, is ${value}`);
    }
    return value;
  }

  /** No control characters, bounded length. */
  text(value: string, pointer: string, lengthMax = textLengthMax): string {
    if (value.length > lengthMax) this.fail(pointer, 'too-long', `must have at most ${lengthMax} characters, has ${value.length}`);
    else if (hasControl(value)) this.fail(pointer, 'invalid-value', 'must not contain control characters');
    return value;
  }

  required(value: string, pointer: string): string {
    if (value === '') this.fail(pointer, 'missing', 'must not be empty');
    return this.text(value, pointer);
  }

  texts(values: readonly string[], pointer: string): readonly string[] {
    if (values.length === 0) return none;
    this.count(values, pointer);
    return Object.freeze(values.map((value, i) => this.text(value, `${pointer}/${i}`)));
  }

  count(values: readonly unknown[], pointer: string, countMax = listLengthMax): void {
    if (values.length > countMax) this.fail(pointer, 'too-many', `must have at most ${countMax} entries, has ${values.length}`);
  }

  oneOf<T extends string>(value: string, accepted: readonly T[], pointer: string): T {
    const found = accepted.find((item) => item === value);
    if (found !== undefined) return found;
    this.fail(pointer, 'invalid-value', `must be one of ${accepted.join(', ')}, is ${JSON.stringify(value.slice(0, 64))}`);
    return accepted[0] as T;
  }

  /** An HTTP token (RFC 9110 section 5.6.2). */
  token(value: string, pointer: string): string {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(value)) this.fail(pointer, 'invalid-value', 'must be an HTTP token');
    return value;
  }
}

/** The one empty list: a snapshot of 10^5 routes would have half a million of its own. */
export const none: readonly never[] = Object.freeze([]);

export const textLengthMax = 8_192;
export const listLengthMax = 4_096;

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
