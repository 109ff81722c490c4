import type { RefusalAnswer } from './api-shapes.ts';
import type { Style } from './style.ts';

/** What a sidecar refused and why: one line, then one per error. Ends with a line end; empty where it refused nothing. */
export function refusalLines(refusal: RefusalAnswer | null, style: Style): string {
  if (refusal === null) return '';
  return `${style.bad(`refused revision ${refusal.version.index}`)} (${refusal.lane}, ${refusal.class}) at ${refusal.at}\n${refusalErrors(refusal)}`;
}

/** One line per error, naming kind, field, code and policies. */
export function refusalErrors(refusal: RefusalAnswer): string {
  return refusal.errors.map((error) => `      ${error.message} (${errorFacts(error).join(', ')})\n`).join('');
}

function errorFacts(error: RefusalAnswer['errors'][number]): string[] {
  const facts = [error.code];
  if (error.kind !== '') facts.push(`kind ${error.kind}`);
  if (error.pointer !== '') facts.push(`at ${error.pointer}`);
  if (error.policies.length > 0) facts.push(`policy ${error.policies.join(', ')}`);
  return facts;
}
