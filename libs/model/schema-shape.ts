import type { z } from 'zod';

/**
 * What a zod type looks like to code that merges, checks pointers and suggests spellings. Wrappers (optional, nullable,
 * default …) are looked through.
 */
export type SchemaShape =
  | { readonly kind: 'object'; readonly fields: Readonly<Record<string, z.ZodType>>; readonly open: boolean }
  | { readonly kind: 'record'; readonly key: z.ZodType; readonly value: z.ZodType }
  | { readonly kind: 'array'; readonly item: z.ZodType }
  | { readonly kind: 'tagged'; readonly tag: string; readonly options: readonly z.ZodType[] }
  | { readonly kind: 'union'; readonly options: readonly z.ZodType[] }
  | { readonly kind: 'scalar' };

interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly catchall?: z.ZodType;
  readonly keyType?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly discriminator?: string;
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly getter?: () => z.ZodType;
}

const shapes = new WeakMap<z.ZodType, SchemaShape>();

export function shapeOf(schema: z.ZodType): SchemaShape {
  const known = shapes.get(schema);
  if (known) return known;
  const shape = readShape(unwrap(schema));
  shapes.set(schema, shape);
  return shape;
}

/** The type inside optional, nullable, default and the like. */
export function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  for (;;) {
    const definition = definitionOf(inner);
    const next = definition.innerType ?? (definition.type === 'pipe' ? definition.in : definition.type === 'lazy' ? definition.getter?.() : undefined);
    if (next === undefined) return inner;
    inner = next;
  }
}

function definitionOf(schema: z.ZodType): Definition {
  return schema._zod.def;
}

function readShape(schema: z.ZodType): SchemaShape {
  const definition = definitionOf(schema);
  switch (definition.type) {
    case 'object':
      return { kind: 'object', fields: definition.shape ?? {}, open: definition.catchall === undefined || definitionOf(definition.catchall).type !== 'never' };
    case 'record':
      return definition.keyType && definition.valueType ? { kind: 'record', key: definition.keyType, value: definition.valueType } : { kind: 'scalar' };
    case 'array':
      return definition.element ? { kind: 'array', item: definition.element } : { kind: 'scalar' };
    case 'union':
      return definition.discriminator === undefined
        ? { kind: 'union', options: definition.options ?? [] }
        : { kind: 'tagged', tag: definition.discriminator, options: definition.options ?? [] };
    default:
      return { kind: 'scalar' };
  }
}

/** The option of a tagged union whose tag accepts the value; null where none does. */
export function taggedOption(shape: Extract<SchemaShape, { kind: 'tagged' }>, tagValue: unknown): z.ZodType | null {
  for (const option of shape.options) {
    const fields = shapeOf(option);
    const tag = fields.kind === 'object' ? fields.fields[shape.tag] : undefined;
    if (tag?.safeParse(tagValue).success === true) return option;
  }
  return null;
}

/** Types a value can have one segment below, over all options of unions. */
export function typesBelow(schema: z.ZodType, segment: string): readonly z.ZodType[] {
  const shape = shapeOf(schema);
  switch (shape.kind) {
    case 'object': {
      const field = Object.hasOwn(shape.fields, segment) ? shape.fields[segment] : undefined;
      return field === undefined ? [] : [field];
    }
    case 'record':
      return [shape.value];
    case 'array':
      return /^\d+$/.test(segment) ? [shape.item] : [];
    case 'tagged':
    case 'union':
      return shape.options.flatMap((option) => typesBelow(option, segment));
    case 'scalar':
      return [];
  }
}

/** Names that are accepted one segment below; empty where any is, or none. */
export function namesBelow(schema: z.ZodType): readonly string[] {
  const shape = shapeOf(schema);
  switch (shape.kind) {
    case 'object':
      return Object.keys(shape.fields);
    case 'tagged':
    case 'union':
      return [...new Set(shape.options.flatMap((option) => namesBelow(option)))];
    case 'record':
    case 'array':
    case 'scalar':
      return [];
  }
}
