import { authoringKinds, wireKinds } from '@remora/control-plane/kinds';
import { fillDefaults, mergeLayers, valueOf } from '@remora/control-plane/resolve/merge';
import { canonicalJson, type Json, type JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import { seededRandom } from '@remora/core/random';
import { reasons } from '@remora/errors/reason';
import { shapeOf } from '@remora/model/schema-shape';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { kindOrder } from '@remora/policy-kit/order';
import { WireError, type RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { shadowed } from '@remora/policy-kit/shadow';
import { runtimeKinds } from '@remora/sidecar/kinds';
import { wireKinds as sidecarWireKinds } from '@remora/sidecar/wire-kinds';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { effectiveSection, sectionViolations } from './effective-section.ts';
import { driveExchange, type ExchangeStep } from './exchange-driver.ts';
import { MemoryLiveState, TestFilterContext } from './filter-context.ts';
import { ManualClock } from './manual-clock.ts';
import { readPolicyFolders } from './policy-folders.ts';

/** What every policy kind must hold, run over all of them. A new kind meets it by being registered. */
const folders = readPolicyFolders();
const built = kindOrder.filter((place) => place.built);

test('the suite sees the kinds', () => {
  expect(folders.length).toBeGreaterThanOrEqual(12);
});

test('folders, order and all registries name the same kinds', () => {
  const names = folders.map((folder) => folder.kind).sort();
  expect(built.map((place) => place.name).sort()).toEqual(names);
  expect([...authoringKinds.keys()].sort()).toEqual(names);
  expect([...wireKinds.keys()].sort()).toEqual(names);
  expect([...runtimeKinds.keys()].sort()).toEqual(names);
  expect([...sidecarWireKinds.keys()].sort()).toEqual(names);
});

test('reason codes are unique over the product', () => {
  const codes = [...Object.values(reasons), ...[...runtimeKinds.values()].flatMap((kind) => kind.reasons)].map((reason) => reason.code);
  expect(codes.filter((code, i) => codes.indexOf(code) !== i)).toEqual([]);
});

describe.each(folders)('$kind', ({ folder, kind: name, files, readme, source, valid, invalid }) => {
  const authoring = authoringKinds.get(name) as AuthoringKind;
  const runtime = runtimeKinds.get(name) as RuntimeKind<unknown>;
  const place = built.find((one) => one.name === name);
  const sections: [string, JsonObject][] = [...valid, ...(authoring.always ? [['defaults', {}] as [string, JsonObject]] : [])];
  const bodies = sections.map(([title, section]) => ({ title, body: authoring.compile(effectiveSection(authoring, section)).body }));

  test('holds for TCP connections on both sides, or on neither; its page says so', () => {
    expect(authoring.tcp ?? false).toBe(runtime.tcp ?? false);
    if (runtime.tcp === true) expect(readme).toMatch(/TCP connection/);
  });

  test('has a complete folder', () => {
    const wanted = ['package.json', 'README.md', 'schema.ts', 'compile.ts', 'wire.ts', 'filter.ts', `${folder}.proto`, `gen/${folder}.ts`, `${folder}.test.ts`, `${folder}.bench.ts`];
    expect(wanted.filter((file) => !files.includes(file))).toEqual([]);
    expect(valid.size).toBeGreaterThan(0);
    expect(invalid.size).toBeGreaterThan(0);
  });

  test('has a page with every part, every field, every reason and its flag', () => {
    const headings = ['## Example', '## Fields', '## Semantics', '## Limits', '## Metrics', '## Reason codes'];
    expect(headings.filter((heading) => !readme.includes(`\n${heading}\n`))).toEqual([]);
    const table = readme.split('## Fields')[1]?.split('\n## ')[0] ?? '';
    expect(fieldsOf(authoring.schema).filter((field) => !table.includes(`\`${field}\``))).toEqual([]);
    const codes = readme.split('## Reason codes')[1] ?? '';
    expect(runtime.reasons.filter((reason) => !codes.includes(`\`${reason.code}\``) || !codes.includes(reason.flag)).map((reason) => reason.code)).toEqual([]);
  });

  test('has a page with every counter, and no other', () => {
    const metrics = readme.split('\n## Metrics\n')[1]?.split('\n## ')[0] ?? '';
    const listed = metrics.includes(`remora_policy_events_total{kind="${name}"}`) ? [...metrics.matchAll(/^\| `(\w+)` \|/gm)].map(([, event]) => `${name}_${event ?? ''}`) : [];
    const counted = [...source.matchAll(/\.count(?:er)?\('(\w+)'/g)].map(([, counter = '']) => counter);
    expect(new Set(listed)).toEqual(new Set(counted));
  });

  test('says the same of itself everywhere', () => {
    expect(place).toMatchObject({ side: authoring.side });
    expect(runtime).toMatchObject({ name, side: authoring.side, format: authoring.format });
    expect(wireKinds.get(name)).toMatchObject({ name, format: authoring.format });
    if (runtime.reasons.length > 0 && authoring.side === 'provider') expect(authoring.shadow).toBe(true);
    expect(runtime.edge === undefined).toBe(authoring.side === 'caller');
    expect(runtime.layer === undefined).toBe(authoring.side === 'provider');
  });

  test.each(sections)('%s compiles to the same bytes however it is written, and is read by both sides', (_title, section) => {
    const effective = effectiveSection(authoring, section);
    expect(authoring.check?.(effective) ?? []).toEqual([]);
    const compiled = authoring.compile(effective);
    expect(compiled.minFormat).toBeLessThanOrEqual(authoring.format);
    expect(Buffer.from(authoring.compile(reversed(effective) as JsonObject).body).toString('hex')).toBe(Buffer.from(compiled.body).toString('hex'));
    const settings = runtime.decode(compiled.body);
    expect(Object.isFrozen(settings)).toBe(true);
    expect(wireKinds.get(name)?.decode(compiled.body)).toEqual(settings);
    expect(() => build(runtime, compiled.body)).not.toThrow();
  });

  test.each(sections)('%s with an unknown field anywhere is refused there', (_title, section) => {
    const accepted = structPaths(authoring.schema, section).filter((at) => {
      const violations = sectionViolations(authoring, withUnknown(section, at) as JsonObject);
      return !violations.some((violation) => violation.pointer === joinPointer('', ...at, 'zzz') || violation.pointer === joinPointer('', ...at));
    });
    expect(accepted).toEqual([]);
  });

  test('levels: the same twice is the same once, fields of the stronger win, null takes entries away', () => {
    for (const [, weak] of sections) {
      const own = withoutSwitches(weak);
      const once = merged(authoring, [own]);
      expect(merged(authoring, [own, own])).toBe(once);
      for (const [, strong] of sections) {
        const both = JSON.parse(merged(authoring, [own, withoutSwitches(strong)])) as Json;
        expect(leafPaths(authoring.schema, withoutSwitches(strong)).filter(([at, value]) => canonicalJson(valueAt(both, at)) !== canonicalJson(value))).toEqual([]);
      }
      const emptied = JSON.parse(merged(authoring, [own, nulled(authoring.schema, own)])) as Json;
      expect(recordPaths(authoring.schema, own).filter((at) => Object.keys((valueAt(emptied, at) ?? {}) as JsonObject).length > 0)).toEqual([]);
    }
  });

  test('damaged bytes are refused with a WireError, or are settings that can be built', () => {
    const random = seededRandom(name.length);
    for (const { title, body } of bodies) {
      for (let i = 0; i < 600; i += 1) {
        const damaged = damage(body, i, random.next());
        expect(() => tolerate(runtime, damaged), `${title}: ${Buffer.from(damaged).toString('hex')}`).not.toThrow();
      }
    }
  });

  test('a snapshot with the same settings takes over the live state', () => {
    const live = new MemoryLiveState();
    for (const { body } of bodies) build(runtime, body, { live });
    const kept = new Map([...live.entries].map(([key, entry]) => [key, entry.value]));
    for (const { body } of bodies) build(runtime, body, { live });
    expect(new Map([...live.entries].map(([key, entry]) => [key, entry.value]))).toEqual(kept);
    for (const [key, entry] of live.entries) expect(entry.value).toBe(kept.get(key));
  });

  // Kinds that neither refuse nor change have no shadow; a test that never runs would only look like one.
  if (authoring.shadow) {
    test('in shadow nothing is refused, delayed or changed', () => {
      for (const { body } of bodies) {
        const context = new TestFilterContext(name, { shadow: true, clock: new ManualClock(Date.UTC(2026, 5, 1)) });
        const filter = runtime.edge?.(runtime.decode(body), context);
        if (!filter) continue;
        const shadow = shadowed(filter, () => {});
        expect(Object.keys(shadow)).not.toContain('requestBody');
        expect(Object.keys(shadow)).not.toContain('responseBody');
        for (const step of probes) {
          const seen = driveExchange(shadow, context, step);
          expect(seen).toEqual(driveExchange({ kind: 'nothing' }, context, step));
        }
      }
    });
  }
});

const probes: readonly ExchangeStep[] = Array.from({ length: 40 }, (_, i): ExchangeStep => ({
  request: {
    method: ['GET', 'POST', 'OPTIONS', 'DELETE'][i % 4] ?? 'GET', authority: 'orders', target: ['/', '/orders/1?q=1&token=2', '/health', '/admin'][i % 3] ?? '/',
    headers: [['origin', 'https://shop.example'], ['access-control-request-method', 'PUT'], ['x-debug', '1'], ['x-request-id', `id ${i}`], ['x-forwarded-for', '203.0.113.9, 10.0.0.1'], ['x-old', 'a'], ['accept', 'text/html'], ['x-chaos', 'abort']],
    bodyLength: i % 4 === 1 ? 1_000_000_000 : 0,
  },
  upstream: { status: i % 5 === 0 ? 503 : 200, headers: { server: 'app', 'x-powered-by': 'app', vary: 'origin' } },
  clientAddress: ['10.0.0.1', '203.0.113.9', '2001:db8::1'][i % 3] ?? '10.0.0.1',
  side: i % 2 === 0 ? 'inbound' : 'gateway',
}));

function build(runtime: RuntimeKind<unknown>, body: Uint8Array, options: { live?: MemoryLiveState } = {}): void {
  const context = new TestFilterContext(runtime.name, options);
  const settings = runtime.decode(body);
  runtime.edge?.(settings, context);
  runtime.layer?.(settings, context);
}

function tolerate(runtime: RuntimeKind<unknown>, body: Uint8Array): void {
  try {
    build(runtime, body);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

/** Cut, flipped or with a byte put in, one after the other. */
function damage(body: Uint8Array, round: number, chance: number): Uint8Array {
  const at = Math.floor(chance * Math.max(1, body.length));
  if (round % 3 === 0) return body.slice(0, at);
  const damaged = round % 3 === 1 ? Uint8Array.from(body) : Uint8Array.from([...body.slice(0, at), (round * 37) & 255, ...body.slice(at)]);
  if (round % 3 === 1 && damaged.length > 0) damaged[at] = (damaged[at] as number) ^ (1 << (round % 8));
  return damaged;
}

function merged(kind: AuthoringKind, levels: readonly JsonObject[]): string {
  const tree = mergeLayers(kind.schema, levels.map((value, i) => ({ layer: i, value })));
  return canonicalJson(valueOf(fillDefaults(kind.schema, tree, kind.defaults, kind.entryDefaults ?? {})));
}

function withoutSwitches({ enabled: _enabled, enforcement: _enforcement, ...own }: JsonObject): JsonObject {
  return own;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function reversed(value: Json): Json {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).reverse().map(([key, item]) => [key, reversed(item)]));
}

function valueAt(value: Json | undefined, at: readonly string[]): Json {
  let found: Json | undefined = value;
  for (const segment of at) found = isObject(found) ? found[segment] : undefined;
  return found ?? null;
}

interface Visit {
  readonly at: readonly string[];
  readonly kind: 'struct' | 'record' | 'leaf';
  readonly value: Json;
}

/** Every node of a section with what its type says it is. Unions, tagged ones included, are leaves. */
function walk(schema: z.ZodType, value: Json, at: readonly string[] = []): Visit[] {
  const shape = shapeOf(schema);
  if (isObject(value) && shape.kind === 'object') {
    return [{ at, kind: 'struct', value }, ...Object.entries(value).flatMap(([key, item]) => (shape.fields[key] ? walk(shape.fields[key], item, [...at, key]) : []))];
  }
  if (isObject(value) && shape.kind === 'record') {
    return [{ at, kind: 'record', value }, ...Object.entries(value).flatMap(([key, item]) => walk(shape.value, item, [...at, key]))];
  }
  return [{ at, kind: 'leaf', value }];
}

function structPaths(schema: z.ZodType, section: JsonObject): (readonly string[])[] {
  return walk(schema, section).filter((visit) => visit.kind === 'struct').map((visit) => visit.at);
}

function recordPaths(schema: z.ZodType, section: JsonObject): (readonly string[])[] {
  return walk(schema, section).filter((visit) => visit.kind === 'record').map((visit) => visit.at);
}

function leafPaths(schema: z.ZodType, section: JsonObject): [readonly string[], Json][] {
  return walk(schema, section).filter((visit) => visit.kind === 'leaf' && !isObject(visit.value)).map((visit) => [visit.at, visit.value]);
}

function withUnknown(value: Json, at: readonly string[]): Json {
  const [segment, ...rest] = at;
  if (!isObject(value)) return value;
  if (segment === undefined) return { ...value, zzz: 1 };
  return { ...value, [segment]: withUnknown(value[segment] ?? null, rest) };
}

/** The section that takes every entry of every map away. */
function nulled(schema: z.ZodType, value: JsonObject): JsonObject {
  const shape = shapeOf(schema);
  if (shape.kind === 'record') return Object.fromEntries(Object.keys(value).map((key) => [key, null]));
  if (shape.kind !== 'object') return {};
  return Object.fromEntries(Object.entries(value).flatMap(([key, item]) => (isObject(item) && shape.fields[key] ? [[key, nulled(shape.fields[key], item)]] : [])));
}

/** Names of the fields of a section at every depth, as its page must list them. */
function fieldsOf(schema: z.ZodType): string[] {
  const shape = shapeOf(schema);
  switch (shape.kind) {
    case 'object': return Object.entries(shape.fields).flatMap(([name, field]) => [name, ...fieldsOf(field)]);
    case 'record': return fieldsOf(shape.value);
    case 'array': return fieldsOf(shape.item);
    case 'tagged':
    case 'union': return shape.options.flatMap((option) => fieldsOf(option));
    case 'scalar': return [];
  }
}
