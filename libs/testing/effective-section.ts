import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { issueViolations } from '@remora/model/issue-violations';
import { createSectionSchema } from '@remora/model/section-schema';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';

/** What one policy's section alone comes to: defaults filled in as resolve does it. */
export function effectiveSection(kind: AuthoringKind, section: JsonObject): JsonObject {
  const { enabled: _enabled, enforcement: _enforcement, ...own } = section;
  let effective = fill(own, kind.defaults);
  for (const [pattern, defaults] of Object.entries(kind.entryDefaults ?? {})) effective = fillEntries(effective, pattern.split('/').slice(1), defaults);
  return effective;
}

/** Everything that is wrong with a section, by itself and as a whole. */
export function sectionViolations(kind: AuthoringKind, section: JsonObject): Violation[] {
  const schema = createSectionSchema(kind);
  const parsed = schema.safeParse(section, { reportInput: true });
  if (!parsed.success) return issueViolations(schema, parsed.error.issues);
  return kind.check?.(effectiveSection(kind, section)) ?? [];
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fill(section: JsonObject, defaults: JsonObject): JsonObject {
  const filled: Record<string, Json> = { ...section };
  for (const [field, value] of Object.entries(defaults)) {
    const own = filled[field];
    filled[field] = own === undefined ? value : isObject(own) && isObject(value) ? fill(own, value) : own;
  }
  return filled;
}

function fillEntries(section: JsonObject, segments: readonly string[], defaults: JsonObject): JsonObject {
  const [segment, ...rest] = segments;
  if (segment === undefined) return fill(section, defaults);
  const filled: Record<string, Json> = { ...section };
  for (const [key, value] of Object.entries(section)) {
    if ((segment === '*' || segment === key) && isObject(value)) filled[key] = fillEntries(value, rest, defaults);
  }
  return filled;
}
