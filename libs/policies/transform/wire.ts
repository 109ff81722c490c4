import { WireError } from '@remora/policy-kit/runtime-kind';
import { parseTemplate, type TemplatePart, type TemplateScope } from '@remora/policy-kit/template';
import { boundedList, boundedText, decodeMessage, oneWord, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { Transform, type Edit, type HeaderEdits, type QueryEdits } from './gen/transform.ts';
import { protectionOf } from './protected-headers.ts';

export interface TransformSettings {
  readonly requestHeaders: HeaderPlan;
  readonly responseHeaders: HeaderPlan;
  readonly query: QueryPlan;
}

/** Applied in the order of these fields. Names in lower case. */
export interface HeaderPlan {
  readonly remove: readonly string[];
  readonly rename: readonly { readonly name: string; readonly to: string }[];
  readonly set: readonly ValuePlan[];
  readonly add: readonly ValuePlan[];
  readonly append: readonly ValuePlan[];
  readonly dedupe: readonly { readonly name: string; readonly keep: 'first' | 'last' | 'unique' }[];
}

export interface QueryPlan {
  readonly remove: readonly string[];
  readonly rename: readonly { readonly name: string; readonly to: string }[];
  readonly set: readonly ValuePlan[];
  readonly add: readonly ValuePlan[];
}

export interface ValuePlan {
  readonly name: string;
  readonly parts: readonly TemplatePart[];
}

export const transformWire = { name: 'transform', format: 1, decode: decodeTransform } as const;

function decodeTransform(bytes: Uint8Array): TransformSettings {
  const message = decodeMessage(Transform, bytes);
  return Object.freeze({
    requestHeaders: readHeaders(message.requestHeaders, '/request/headers', 'request'),
    responseHeaders: readHeaders(message.responseHeaders, '/response/headers', 'response'),
    query: readQuery(message.query, '/request/query'),
  });
}

const noHeaders: HeaderEdits = { remove: [], rename: [], set: [], add: [], append: [], dedupe: [] };
const noQuery: QueryEdits = { remove: [], rename: [], set: [], add: [] };
const keeps = ['first', 'last', 'unique'] as const;

function readHeaders(edits: HeaderEdits = noHeaders, pointer: string, scope: TemplateScope): HeaderPlan {
  const values = (list: readonly Edit[], at: string): ValuePlan[] =>
    bounded(list, at).map(({ name, value }) => ({ name: editable(name, at), parts: readParts(wireHeaderValue(value, `${at}/${name}`), `${at}/${name}`, scope) }));
  return Object.freeze({
    remove: bounded(edits.remove, `${pointer}/remove`).map((name) => editable(name, `${pointer}/remove`)),
    rename: bounded(edits.rename, `${pointer}/rename`).map(({ name, value }) => ({ name: editable(name, `${pointer}/rename`), to: editable(value, `${pointer}/rename`) })),
    set: values(edits.set, `${pointer}/set`),
    add: values(edits.add, `${pointer}/add`),
    append: values(edits.append, `${pointer}/append`),
    dedupe: bounded(edits.dedupe, `${pointer}/dedupe`).map(({ name, value }) => ({ name: editable(name, `${pointer}/dedupe`), keep: oneWord(value, `${pointer}/dedupe/${name}`, keeps) })),
  });
}

function readQuery(edits: QueryEdits = noQuery, pointer: string): QueryPlan {
  const name = (text: string, at: string): string => {
    if (text === '') throw new WireError(at, 'invalid-value', 'a query parameter needs a name');
    return boundedText(text, at, 128);
  };
  const values = (list: readonly Edit[], at: string): ValuePlan[] =>
    bounded(list, at).map((edit) => ({ name: name(edit.name, at), parts: readParts(boundedText(edit.value, `${at}/${edit.name}`, 4096), `${at}/${edit.name}`, 'request') }));
  return Object.freeze({
    remove: bounded(edits.remove, `${pointer}/remove`).map((text) => name(text, `${pointer}/remove`)),
    rename: bounded(edits.rename, `${pointer}/rename`).map((edit) => ({ name: name(edit.name, `${pointer}/rename`), to: name(edit.value, `${pointer}/rename`) })),
    set: values(edits.set, `${pointer}/set`),
    add: values(edits.add, `${pointer}/add`),
  });
}

function bounded<T>(list: readonly T[], pointer: string): readonly T[] {
  return boundedList(list, pointer, 64);
}

function editable(name: string, pointer: string): string {
  const lower = wireHeaderName(name, pointer);
  const why = protectionOf(lower);
  if (why !== null) throw new WireError(`${pointer}/${lower}`, 'protected-header', why);
  return lower;
}

function readParts(text: string, pointer: string, scope: TemplateScope): readonly TemplatePart[] {
  const result = parseTemplate(text, scope);
  if (!result.ok) throw new WireError(pointer, result.code, result.error);
  return result.parts;
}
