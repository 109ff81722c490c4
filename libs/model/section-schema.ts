import { oneOf } from '@remora/policy-kit/scalars';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { z } from 'zod';
import { issue } from './issue.ts';
import { shapeOf, unwrap } from './schema-shape.ts';

/**
 * A kind's section as one policy may write it. The levels are merged before the whole is judged, so every field is
 * optional at every depth and entries of maps may be null (which removes an inherited one). Lists are values: their
 * items are complete. A tagged union says its tag.
 */
export function createSectionSchema(kind: AuthoringKind): z.ZodType {
  const shape = shapeOf(kind.schema);
  const own = shape.kind === 'object' ? shape.fields : {};
  const fields: Record<string, z.ZodType> = { enabled: z.boolean().optional().meta({ description: 'false switches an inherited section off' }) };
  if (kind.shadow) fields['enforcement'] = oneOf(['enforce', 'shadow']).optional().meta({ description: 'shadow decides, counts and logs, and lets the request pass' });
  for (const [name, field] of Object.entries(own)) fields[name] = partial(field).optional();
  const section = z.strictObject(fields, { error: (raw) => (raw.code === 'invalid_type' ? emptySection(kind.name, raw.input) : undefined) });
  return section.superRefine((value, context) => {
    if (Object.keys(value).length === 0) issue(context, 'empty-section', `${kind.name} is empty: it would neither set nor reset anything`, 'at least one field, or enabled: false, or no section');
  });
}

function emptySection(name: string, input: unknown): string | undefined {
  return input === null ? `${name} is empty: it would neither set nor reset anything; leave the section out, or write enabled: false` : undefined;
}

/** The same type with nothing required. */
function partial(schema: z.ZodType): z.ZodType {
  const shape = shapeOf(schema);
  switch (shape.kind) {
    case 'object':
      return keepMeta(schema, partialObject(shape.fields, null));
    case 'record':
      return keepMeta(schema, z.record(shape.key as z.ZodString, partial(shape.value).nullable()));
    case 'tagged': {
      const options = shape.options.map((option) => {
        const inner = shapeOf(option);
        return partialObject(inner.kind === 'object' ? inner.fields : {}, shape.tag);
      });
      return keepMeta(schema, z.discriminatedUnion(shape.tag, options as [z.ZodObject, ...z.ZodObject[]]));
    }
    case 'array':
    case 'union':
    case 'scalar':
      return unwrap(schema);
  }
}

function partialObject(fields: Readonly<Record<string, z.ZodType>>, tag: string | null): z.ZodObject {
  const made: Record<string, z.ZodType> = {};
  for (const [name, field] of Object.entries(fields)) made[name] = name === tag ? unwrap(field) : partial(field).optional();
  return z.strictObject(made);
}

function keepMeta(from: z.ZodType, to: z.ZodType): z.ZodType {
  const meta = from.meta() ?? unwrap(from).meta();
  return meta === undefined ? to : to.meta({ ...meta });
}
