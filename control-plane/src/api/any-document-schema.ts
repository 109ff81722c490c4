import type { JsonObject } from '@remora/core/canonical-json';
import { documentKinds } from '@remora/model/document-key';
import type { Model } from '@remora/model/model';

/** Name under which the schema of all kinds together is served. */
export const anyDocument = 'Document';

/** JSON Schema of a document of any kind: what an editor needs for a file that holds several. The kind chooses the rest. */
export function anyDocumentSchema(model: Model): JsonObject {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `https://remora.dev/schemas/${anyDocument}.json`,
    title: 'Remora document',
    type: 'object',
    required: ['kind', 'name'],
    properties: { kind: { enum: [...documentKinds] } },
    // oxlint-disable-next-line unicorn/no-thenable -- a word of JSON Schema; nobody awaits it.
    allOf: documentKinds.map((kind) => ({ if: { required: ['kind'], properties: { kind: { const: kind } } }, then: embedded(model.jsonSchemaFor(kind) ?? {}) })),
  };
}

/** Without what only a schema of its own may have. */
function embedded(schema: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== '$id' && key !== '$schema'));
}
