import type { Head, HeaderId } from '@remora/http/head';
import { internHeaderName, makeField } from '@remora/http/header-ids';
import type { Exchange } from '@remora/policy-kit/exchange';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { compileTemplate, type TemplateOptions } from '@remora/policy-kit/variables';
import type { HeaderPlan, ValuePlan } from './wire.ts';

/** Edits a head in place. Built once per snapshot: what has no variable is a prepared field. */
export type HeaderEditor = (x: Exchange, head: Head) => void;

/** null where the plan changes nothing. Steps run in the order of the plan: what is removed or renamed first can be set anew. */
export function createHeaderEditor(plan: HeaderPlan, options: TemplateOptions): HeaderEditor | null {
  const steps: HeaderEditor[] = [
    ...plan.remove.map((name) => removeStep(idOf(name))),
    ...plan.rename.map(({ name, to }) => renameStep(idOf(name), idOf(to))),
    ...plan.set.map((value) => valueStep(value, options, 'set')),
    ...plan.add.map((value) => valueStep(value, options, 'add')),
    ...plan.append.map((value) => valueStep(value, options, 'append')),
    ...plan.dedupe.map(({ name, keep }) => dedupeStep(idOf(name), keep)),
  ];
  if (steps.length === 0) return null;
  return (x, head) => {
    for (let i = 0; i < steps.length; i += 1) (steps[i] as HeaderEditor)(x, head);
  };
}

function idOf(name: string): HeaderId {
  const id = internHeaderName(name);
  if (id === 0) throw new WireError('', 'too-many', `the table of header names is full: ${name}`);
  return id;
}

function removeStep(id: HeaderId): HeaderEditor {
  return (_x, head) => {
    if (head.has(id)) head.remove(id);
  };
}

/** All values move; what the new name had before is replaced. */
function renameStep(from: HeaderId, to: HeaderId): HeaderEditor {
  return (_x, head) => {
    if (from === to || !head.has(from)) return;
    const values = valuesOf(head, from);
    head.remove(from);
    head.remove(to);
    for (const value of values) head.append(to, value);
  };
}

function valueStep({ name, parts }: ValuePlan, options: TemplateOptions, mode: 'set' | 'add' | 'append'): HeaderEditor {
  const id = idOf(name);
  const [only] = parts;
  const fixed = parts.length === 0 || (parts.length === 1 && only?.kind === 'text');
  if (fixed) {
    const field = makeField(name, only?.kind === 'text' ? only.text : '');
    return (_x, head) => {
      if (mode === 'add' && head.has(id)) return;
      if (mode === 'set') head.remove(id);
      head.put(field);
    };
  }
  const evaluate = compileTemplate(parts, options);
  return (x, head) => {
    if (mode === 'add' && head.has(id)) return;
    const value = asFieldValue(evaluate(x));
    if (mode === 'set') head.set(id, value);
    else head.append(id, value);
  };
}

function dedupeStep(id: HeaderId, keep: 'first' | 'last' | 'unique'): HeaderEditor {
  return (_x, head) => {
    if (head.count(id) < 2) return;
    const values = valuesOf(head, id);
    const kept = keep === 'first' ? values.slice(0, 1) : keep === 'last' ? values.slice(-1) : [...new Set(values)];
    if (kept.length === values.length) return;
    head.remove(id);
    for (const value of kept) head.append(id, value);
  };
}

function valuesOf(head: Head, id: HeaderId): string[] {
  return Array.from({ length: head.count(id) }, (_, nth) => head.valueAt(id, nth));
}

/** What a variable brings may not break the framing (RFC 9110 section 5.5): a control character becomes a space. */
function asFieldValue(text: string): string {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return withoutControls(text).trim();
  }
  return text.trim();
}

function withoutControls(text: string): string {
  let clean = '';
  for (const character of text) {
    const code = character.charCodeAt(0);
    clean += code < 0x20 || code === 0x7f ? ' ' : character;
  }
  return clean;
}
