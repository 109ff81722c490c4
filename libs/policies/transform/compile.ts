import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Transform, type Edit, type HeaderEdits, type QueryEdits } from './gen/transform.ts';
import { checkTransform, transformSchema, type EffectiveTransform, type HeaderEditsSection, type QueryEditsSection } from './schema.ts';

/** Edits of headers and query: provider side. */
export const transformAuthoring: AuthoringKind = {
  name: 'transform',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: transformSchema,
  defaults: {},
  check: checkTransform,
  compile: (effective) => ({ minFormat: 1, body: Transform.encode(toMessage(effective)).finish() }),
};

function toMessage({ request, response }: EffectiveTransform): Transform {
  return {
    requestHeaders: request?.headers && headerEdits(request.headers),
    responseHeaders: response?.headers && headerEdits(response.headers),
    query: request?.query && queryEdits(request.query),
  };
}

function headerEdits({ remove, rename, set, add, append, dedupe }: HeaderEditsSection): HeaderEdits {
  const renamed = edits(rename, lower).map((edit) => ({ ...edit, value: edit.value.toLowerCase() }));
  return { remove: names(remove, lower), rename: renamed, set: edits(set, lower), add: edits(add, lower), append: edits(append, lower), dedupe: edits(dedupe, lower) };
}

function queryEdits({ remove, rename, set, add }: QueryEditsSection): QueryEdits {
  return { remove: names(remove, same), rename: edits(rename, same), set: edits(set, same), add: edits(add, same) };
}

type Spelling = (name: string) => string;
const lower: Spelling = (name) => name.toLowerCase();
const same: Spelling = (name) => name;

function names(map: Readonly<Record<string, unknown>> | undefined, spelling: Spelling): string[] {
  return Object.keys(map ?? {}).map(spelling).sort();
}

function edits(map: Readonly<Record<string, string>> | undefined, spelling: Spelling): Edit[] {
  return Object.entries(map ?? {}).map(([name, value]) => ({ name: spelling(name), value })).sort((a, b) => (a.name < b.name ? -1 : 1));
}
