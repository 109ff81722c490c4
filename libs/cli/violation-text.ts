import type { Violation } from '@remora/core/violation';
import type { Style } from './style.ts';

/**
 * All violations for a person: grouped by document, in the order given.
 *
 *     Policy/public-api
 *       /rateLimit/limits/perIp/request  unknown field  (unknown-field, mesh/edge.yaml:17)
 *           did you mean `requests`?
 */
export function violationText(violations: readonly Violation[], style: Style): string {
  const groups = new Map<string, Violation[]>();
  for (const violation of violations) {
    const document = violation.document ?? '';
    const group = groups.get(document);
    if (group === undefined) groups.set(document, [violation]);
    else group.push(violation);
  }
  let text = '';
  for (const [document, group] of groups) {
    text += `${style.strong(document === '' ? 'input' : document)}\n`;
    for (const violation of group) text += oneViolation(violation, style);
  }
  return text;
}

function oneViolation(violation: Violation, style: Style): string {
  const pointer = violation.pointer === '' ? '(whole document)' : violation.pointer;
  const where = violation.source === undefined ? violation.code : `${violation.code}, ${violation.source}`;
  let text = `  ${style.name(pointer)}  ${violation.message}  ${style.faint(`(${where})`)}\n`;
  if (violation.expected !== undefined) text += `      expected: ${violation.expected}\n`;
  if (violation.suggestion !== undefined) text += `      ${style.good(`did you mean \`${violation.suggestion}\`?`)}\n`;
  return text;
}
