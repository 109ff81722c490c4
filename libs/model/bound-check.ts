import type { Json } from '@remora/core/canonical-json';
import { parsePointer } from '@remora/core/pointer';
import { suggest } from '@remora/core/suggest';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { kindOrder } from '@remora/policy-kit/order';
import { z } from 'zod';
import { issue } from './issue.ts';
import type { BoundDocument } from './policy-schema.ts';
import { namesBelow, shapeOf, typesBelow, unwrap } from './schema-shape.ts';
import { amountOf, compareMagnitudes } from './value-order.ts';

/** What a bound says that its field cannot have: an unknown field, limits of another type, limits that exclude each other. */
export function checkBound(bound: BoundDocument, kinds: ReadonlyMap<string, AuthoringKind>, context: z.RefinementCtx): void {
  const segments = parsePointer(bound.field) ?? [];
  const [name = '', ...path] = segments;
  const kind = kinds.get(name);
  if (kind === undefined) {
    const reserved = kindOrder.some((one) => one.name === name);
    const near = suggest(name, kinds.keys());
    const message = reserved ? `${name} is not available in this build` : `there is no section ${JSON.stringify(name.slice(0, 60))}`;
    return issue(context, reserved ? 'not-available' : 'unknown-field', message, undefined, ['field'], reserved || near === undefined ? undefined : `/${[near, ...segments.slice(1)].join('/')}`);
  }
  const found = typesAt(kind, path);
  if (typeof found === 'string') return issue(context, 'unknown-field', found, undefined, ['field']);
  for (const side of ['min', 'max'] as const) {
    const limit = bound[side];
    if (limit !== undefined && !found.some((type) => accepts(type, limit) && amountOf(limit, type) !== null)) {
      issue(context, 'wrong-type', `is not a value of ${bound.field} that can be compared`, undefined, [side]);
    }
  }
  if (bound.min !== undefined && bound.max !== undefined && found.some((type) => (compareMagnitudes(bound.min ?? 0, bound.max ?? 0, type) ?? 0) > 0)) {
    issue(context, 'out-of-range', 'is more than max: nothing could be set', undefined, ['min']);
  }
  for (const [i, value] of (bound.oneOf ?? []).entries()) {
    if (!found.some((type) => accepts(type, value) || acceptsItem(type, value))) issue(context, 'wrong-type', `is not a value of ${bound.field}`, undefined, ['oneOf', i]);
  }
}

const switches: Readonly<Record<string, z.ZodType>> = { enabled: z.boolean(), enforcement: z.enum(['enforce', 'shadow']) };

/** Types that the pointer leads to; a text says why it leads nowhere. */
function typesAt(kind: AuthoringKind, path: readonly string[]): readonly z.ZodType[] | string {
  const own = path.length === 1 && Object.hasOwn(switches, path[0] ?? '') && (path[0] !== 'enforcement' || kind.shadow) ? switches[path[0] ?? ''] : undefined;
  if (own !== undefined) return [own];
  let types: readonly z.ZodType[] = [kind.schema];
  for (const [i, segment] of path.entries()) {
    const where = `/${[kind.name, ...path.slice(0, i)].join('/')}`;
    if (types.some((type) => shapeOf(type).kind === 'array')) return `${where} is a list, which is one value: bounds look at it as a whole`;
    const entries = types.flatMap((type) => entriesOf(type));
    const next = segment === '*' ? entries : types.flatMap((type) => typesBelow(type, segment));
    if (next.length === 0) return noSuchField(where, segment, types);
    types = next;
  }
  return types.map(unwrap);
}

/** Types of the entries of a named map; empty for everything else. */
function entriesOf(type: z.ZodType): readonly z.ZodType[] {
  const shape = shapeOf(type);
  return shape.kind === 'record' ? [shape.value] : [];
}

function noSuchField(where: string, segment: string, types: readonly z.ZodType[]): string {
  if (segment === '*') return `${where} is no named map, so * matches nothing in it`;
  const near = suggest(segment, types.flatMap((type) => namesBelow(type)));
  return `${where} has no field ${JSON.stringify(segment.slice(0, 60))}${near === undefined ? '' : `; did you mean ${near}?`}`;
}

function accepts(type: z.ZodType, value: Json): boolean {
  return type.safeParse(value).success;
}

function acceptsItem(type: z.ZodType, value: Json): boolean {
  const shape = shapeOf(type);
  return shape.kind === 'array' && accepts(shape.item, value);
}
