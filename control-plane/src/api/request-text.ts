import { z } from 'zod';
import { ApiError } from './problem.ts';

/** Text that a client sends in a header and that we keep: percent-encoded UTF-8, because headers are ASCII. */
export function readHeaderText(raw: string | undefined, header: string, charsMax: number): string {
  if (raw === undefined) return '';
  let text: string;
  try {
    text = decodeURIComponent(raw);
  } catch {
    throw new ApiError('bad-request', `${header}: not percent-encoded UTF-8`);
  }
  return checkText(text, header, charsMax);
}

/** No control characters: this text is shown in terminals and logs. */
export function checkText(text: string, where: string, charsMax: number): string {
  if (text.length > charsMax) throw new ApiError('bad-request', `${where}: longer than ${charsMax} characters`);
  if (hasControls(text)) throw new ApiError('bad-request', `${where}: contains control characters`);
  return text.trim();
}

/** A field of a body that says why, for people: bounded, and as fit for terminals as `checkText` has it. */
export function reasonText(charsMax: number): z.ZodString {
  return z.string().max(charsMax).refine((text) => !hasControls(text), { error: 'contains control characters' });
}

/** Controls, line separators, and marks that turn the direction of writing around. */
function hasControls(text: string): boolean {
  return /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u.test(text.replaceAll(/[\n\t]/g, ' '));
}
