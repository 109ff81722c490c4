import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';

/**
 * zod passes over keys named `__proto__`, so that what stands below them would go unchecked. Documents that have such
 * keys (they are names like any other) are checked under another name, and violations are told with the real one.
 */
export function hidePrototypeNames(value: JsonObject): JsonObject {
  return rename(value) as JsonObject;
}

export const prototypeName = '__proto__';
const standIn = '__proto__0';

function rename(value: Json): Json {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return (value as readonly Json[]).map(rename);
  const made: Record<string, Json> = Object.create(null);
  for (const [key, item] of Object.entries(value as JsonObject)) {
    let name = key === prototypeName ? standIn : key;
    while (name !== key && Object.hasOwn(value, name)) name += '0';
    made[name] = rename(item);
  }
  return made;
}

export function showPrototypeNames(violation: Violation): Violation {
  if (!violation.pointer.includes(standIn) && !violation.message.includes(standIn)) return violation;
  return { ...violation, pointer: violation.pointer.replaceAll(/__proto__0+/g, prototypeName), message: violation.message.replaceAll(/__proto__0+/g, prototypeName) };
}
