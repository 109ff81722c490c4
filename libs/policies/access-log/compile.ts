import { parseDurationMs, parseRatio, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { AccessLog, type LogCondition, type LogField } from './gen/access-log.ts';
import { accessLogDefaults, accessLogSchema, checkAccessLog, type EffectiveAccessLog, type EffectiveCondition } from './schema.ts';
import { standardFields } from './standard-fields.ts';

/** One line per request: provider side. */
export const accessLogAuthoring: AuthoringKind = {
  name: 'accessLog',
  side: 'provider',
  tcp: true,
  always: false,
  shadow: false,
  format: 1,
  schema: accessLogSchema,
  defaults: accessLogDefaults,
  check: checkAccessLog,
  compile: (effective) => ({ minFormat: 1, body: AccessLog.encode(toMessage(effective as unknown as EffectiveAccessLog)).finish() }),
};

function toMessage(effective: EffectiveAccessLog): AccessLog {
  const text = effective.format === 'text';
  return {
    format: effective.format,
    fields: text ? [] : toFields(effective),
    template: text ? effective.template : '',
    redact: { headers: sortedSet(effective.redact.headers), query: sortedSet(effective.redact.query) },
    samplingPpm: Math.round((parseRatio(effective.sampling) ?? 0) * 1_000_000),
    always: toCondition(effective.always),
    only: toCondition(effective.only),
    exceptPaths: [...new Set(effective.exceptPaths)].sort(),
    file: effective.output === 'stdout' ? undefined : {
      name: effective.file.name,
      rotateBytes: BigInt(parseSizeBytes(effective.file.rotateAt) ?? 0),
      keep: effective.file.keep,
    },
  };
}

/** The standard fields in their order, then the others by name; a field of the same name takes a standard one's place. */
function toFields({ fields = {}, standardFields: standard, omit }: EffectiveAccessLog): LogField[] {
  const templates = new Map(standard ? standardFields : []);
  for (const name of Object.keys(fields).sort()) templates.set(name, fields[name] ?? '');
  return [...templates].filter(([name]) => !omit.includes(name)).map(([name, template]) => ({ name, template }));
}

function toCondition(condition: EffectiveCondition | undefined): LogCondition | undefined {
  if (condition === undefined) return undefined;
  const statuses = (condition.statuses ?? []).map((status) => (typeof status === 'number' ? status : Number(status.charAt(0))));
  return {
    statuses: [...new Set(statuses)].sort((a, b) => a - b),
    slowerThanMs: condition.slowerThan === undefined ? 0 : (parseDurationMs(condition.slowerThan) ?? 0),
    refusals: condition.refusals ?? false,
  };
}

function sortedSet(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => name.toLowerCase()))].sort();
}
