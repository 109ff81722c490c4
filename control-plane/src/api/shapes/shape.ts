import { z } from 'zod';

/** Every named shape of the API: what answers are made of, and what OpenAPI lists as components. */
export const shapeRegistry = z.registry<{ id: string }>();

/** Gives a shape the name that OpenAPI shows. */
export function shape<T extends z.ZodType>(id: string, schema: T): T {
  shapeRegistry.add(schema, { id });
  return schema;
}
