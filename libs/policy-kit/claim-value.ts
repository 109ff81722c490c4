import type { Json } from '@remora/core/canonical-json';

/**
 * Value of a claim by name or path: a claim of exactly that name, or else dots lead into objects (`realm_access.roles`; a dot of the name itself may come
 * first, as in `https://shop.example/app.id`). Undefined where there is none. Names such as `__proto__` are names like any other.
 */
export function claimValue(claims: Readonly<Record<string, Json>>, path: string): Json | undefined {
  if (Object.hasOwn(claims, path)) return claims[path];
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const name = path.slice(0, dot);
    if (!Object.hasOwn(claims, name)) continue;
    const inner = claims[name];
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) continue;
    const found = claimValue(inner as Readonly<Record<string, Json>>, path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A claim as one text: a list joined by commas, an object as JSON; '' where it is missing or null. */
export function claimText(claims: Readonly<Record<string, Json>>, path: string): string {
  const value = claimValue(claims, path);
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(plainText).join(',');
  return plainText(value);
}

function plainText(value: Json): string {
  return typeof value === 'string' ? value : value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
}
