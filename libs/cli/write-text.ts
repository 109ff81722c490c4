import type { Json } from '@remora/core/canonical-json';
import type { DocumentDifference, FieldDifference, WriteAnswer } from './api-shapes.ts';
import { enforcementText } from './enforcement-text.ts';
import type { Style } from './style.ts';

/** What a write did, or at a dry run would do, for a person. */
export function writeText(answer: WriteAnswer, style: Style): string {
  const text = differencesText(answer.changes, style, answer.changeCount) + guardsText(answer, style);
  if (answer.outcome === 'dry-run') return text + dryRunText(answer, style);
  if (answer.revision === null) return `${text}${style.faint('everything is as given already: no revision made, nothing sent')}\n`;
  const repeated = answer.outcome === 'repeated' ? style.faint(' (made by an earlier request with this key)') : '';
  if (answer.enforcement === null) return `${text}revision ${answer.revision.revision}${repeated}\n`;
  return text + enforcementText(answer.enforcement, style);
}

function guardsText(answer: WriteAnswer, style: Style): string {
  return answer.guards.map((one) => `${style.warn(`guard ${one.guard}`)} (${one.subject}): ${one.message}${one.forced ? ', forced' : ''}\n`).join('');
}

function dryRunText(answer: WriteAnswer, style: Style): string {
  return `${effectiveText(answer, style)}${style.warn('dry run, nothing was changed:')} ${touchedText(answer, style)}\nplan ${answer.plan} on revision ${answer.head.index}\n`;
}

const effectiveLinesMax = 40;

/** What sidecars would enforce otherwise: values, not documents. */
function effectiveText({ effective }: WriteAnswer, style: Style): string {
  if (effective === null || effective.changes.length + effective.defaults === 0) return '';
  const lines = effective.changes.slice(0, effectiveLinesMax).map(({ pointer, winner, places, placeCount, ...field }) => {
    const more = placeCount > 1 ? ` and ${placeCount - 1} more` : '';
    return `    ${pointer}: ${fieldText({ pointer, ...field }, style)} ${style.faint(`(${winner}) ${places[0] ?? ''}${more}`)}\n`;
  });
  const rest = effective.changes.length + effective.more - lines.length;
  return `${style.name('enforced otherwise:')}\n${lines.join('')}${rest > 0 ? style.faint(`    and ${rest} more\n`) : ''}${defaultsText(effective.defaults, style)}`;
}

function defaultsText(count: number, style: Style): string {
  return count === 0 ? '' : style.faint(`    and ${count} ${count === 1 ? 'default' : 'defaults'} that no policy sets (--all)\n`);
}

function touchedText(answer: WriteAnswer, style: Style): string {
  const count = answer.sidecarCount;
  if (answer.changes.length === 0) return 'everything is as given already';
  if (count === 0) return answer.subjects.length === 0 ? 'no sidecar would enforce anything else' : `would change ${answer.subjects.join(', ')}, which no sidecar runs`;
  const names = answer.sidecars.map((one) => (one.connected ? style.name(one.nodeId) : `${one.nodeId} (offline)`));
  const more = count > names.length ? ` and ${count - names.length} more` : '';
  return `would change ${count} ${count === 1 ? 'sidecar' : 'sidecars'}: ${names.join(', ')}${more}`;
}

const marks = { created: '+', updated: '~', deleted: '-' } as const;

/** One line per document, and below it one per field that differs in meaning. `count`: of all, where an answer has but the first. */
export function differencesText(changes: readonly DocumentDifference[], style: Style, count = changes.length): string {
  const lines = changes
    .map((change) => `${paintMark(change.action, style)} ${style.name(change.document)} ${change.action}${ownerText(change)}\n${change.action === 'updated' ? fieldsText(change.fields ?? [], style) : ''}`)
    .join('');
  return count > changes.length ? `${lines}${style.faint(`and ${count - changes.length} more documents`)}\n` : lines;
}

function paintMark(action: DocumentDifference['action'], style: Style): string {
  const mark = marks[action];
  if (action === 'created') return style.good(mark);
  if (action === 'deleted') return style.bad(mark);
  return style.warn(mark);
}

function fieldsText(fields: readonly FieldDifference[], style: Style): string {
  return fields.map((field) => `    ${field.pointer}: ${fieldText(field, style)}\n`).join('');
}

function fieldText(field: FieldDifference, style: Style): string {
  if (field.before === undefined) return style.good(`+ ${valueText(field.after as Json)}`);
  if (field.after === undefined) return style.bad(`- ${valueText(field.before as Json)}`);
  return `${style.bad(valueText(field.before as Json))} → ${style.good(valueText(field.after as Json))}`;
}

const valueCharsMax = 120;

/** One line of JSON, cut when it is long. */
export function valueText(value: Json | undefined): string {
  if (value === undefined) return '-';
  const text = JSON.stringify(value);
  return text.length <= valueCharsMax ? text : `${text.slice(0, valueCharsMax - 1)}…`;
}

function ownerText(change: DocumentDifference): string {
  return change.owner === undefined ? '' : `, owner set ${change.owner.before || 'none'} → ${change.owner.after || 'none'}`;
}
