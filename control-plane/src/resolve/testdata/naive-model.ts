import type { Json, JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';

/**
 * The rules of merging, written down a second time in the most obvious way, for the sample kinds only: every place asks every
 * policy, nothing is cached, nothing is incremental.
 */
export interface World {
  readonly services: Readonly<Record<string, { readonly labels: Readonly<Record<string, string>>; readonly routes: readonly string[]; readonly dependsOn: readonly string[] }>>;
  readonly gateways: Readonly<Record<string, { readonly labels: Readonly<Record<string, string>>; readonly routes: Readonly<Record<string, string>> }>>;
  readonly policies: readonly JsonObject[];
}

export interface NaivePlace {
  readonly side: 'provider' | 'caller';
  readonly service?: string;
  readonly gateway?: string;
  /** Of the service (or of the gateway, provider side). */
  readonly route: string;
  /** Caller side: `service/x`, `gateway/x` or ''. */
  readonly caller: string;
  readonly callerRoute: string;
}

export const naiveKinds = { provider: ['fault', 'rateLimit', 'requestLimits'], caller: ['retry', 'timeout'] } as const;
const always: ReadonlySet<string> = new Set(['requestLimits', 'timeout']);

const defaults: Readonly<Record<string, JsonObject>> = {
  fault: { share: '100%' },
  rateLimit: { headerStyle: 'draft' },
  requestLimits: { bodyBytes: 'unlimited', headerCount: 100 },
  timeout: { connect: '1s', request: '15s', idle: '60s' },
  retry: { retries: 2, retryOn: ['connect-failure'], budget: { ratio: '20%', minPerSecond: 3 } },
};

interface Layer {
  readonly policy: JsonObject;
  readonly strength: number;
}

/** Policies that hold at a place, weak to strong. */
export function layersAt(world: World, place: NaivePlace): Layer[] {
  return world.policies
    .flatMap((policy) => {
      const rank = rankAt(world, policy['target'] as JsonObject, place);
      const from = policy['from'] as JsonObject | undefined;
      if (rank === null || (from !== undefined && (place.side === 'provider' || !isFrom(world, from, place.caller)))) return [];
      return [{ policy, strength: 2 * rank + (from === undefined ? 0 : 1) }];
    })
    .sort((a, b) => a.strength - b.strength);
}

function rankAt(world: World, target: JsonObject, place: NaivePlace): number | null {
  const gateway = place.gateway ?? (place.caller.startsWith('gateway/') ? place.caller.slice(8) : undefined);
  const gatewayRoute = place.gateway === undefined ? place.callerRoute : place.route;
  if (Object.keys(target).length === 0) return 0;
  if (target['services'] === 'all') return place.service === undefined ? null : 1;
  if (target['services'] !== undefined) {
    const wanted = (target['services'] as JsonObject)['labels'] as Record<string, string>;
    return place.service !== undefined && has(world.services[place.service]?.labels ?? {}, wanted) ? 2 : null;
  }
  if (target['service'] !== undefined) {
    if (target['service'] !== place.service) return null;
    return target['route'] === undefined ? 3 : target['route'] === place.route ? 4 : null;
  }
  if (target['gateways'] === 'all') return gateway === undefined ? null : 5;
  if (target['gateway'] !== gateway) return null;
  return target['route'] === undefined ? 6 : target['route'] === gatewayRoute ? 7 : null;
}

function isFrom(world: World, from: JsonObject, caller: string): boolean {
  if (from['service'] !== undefined) return caller === `service/${from['service'] as string}`;
  if (from['gateway'] !== undefined) return caller === `gateway/${from['gateway'] as string}`;
  const name = caller.slice(caller.indexOf('/') + 1);
  const labels = caller.startsWith('service/') ? world.services[name]?.labels : world.gateways[name]?.labels;
  return labels !== undefined && has(labels, from['labels'] as Record<string, string>);
}

function has(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

export interface NaiveSection {
  readonly present: boolean;
  readonly on: boolean;
  readonly shadow: boolean;
  readonly value: JsonObject;
}

export function merge(kind: string, layers: readonly Layer[]): NaiveSection {
  let value: Record<string, Json> = {};
  let on = true;
  let shadow = false;
  let present = always.has(kind);
  for (const { policy } of layers) {
    const section = policy[kind] as JsonObject | undefined;
    if (section === undefined) continue;
    present = true;
    const { enabled, enforcement, ...fields } = section;
    if (enabled !== undefined) on = enabled === true;
    if (enforcement !== undefined) shadow = enforcement === 'shadow';
    value = over(value, fields, [kind]) as Record<string, Json>;
  }
  const filled = under(value, defaults[kind] ?? {}) as Record<string, Json>;
  for (const entry of Object.values((kind === 'rateLimit' ? filled['limits'] : undefined) ?? {})) Object.assign(entry as object, { burst: 0, key: [], ...(entry as JsonObject) });
  return { present, on: present && on, shadow, value: filled };
}

function over(below: Json | undefined, above: Json, path: readonly string[]): Json {
  if (!isMap(above)) return above;
  const changedTag = path.join('/') === 'fault/action' && isMap(below) && below['kind'] !== above['kind'];
  const made: Record<string, Json> = isMap(below) && !changedTag ? { ...below } : {};
  for (const [key, item] of Object.entries(above)) {
    if (item === null && path.join('/') === 'rateLimit/limits') delete made[key];
    else made[key] = over(made[key], item, [...path, key]);
  }
  return made;
}

function under(value: Json | undefined, fallback: Json): Json {
  if (value === undefined) return structuredClone<Json>(fallback);
  if (!isMap(value) || !isMap(fallback)) return structuredClone<Json>(value);
  const made: Record<string, Json> = structuredClone(value) as Record<string, Json>;
  for (const [key, item] of Object.entries(fallback)) made[key] = under(made[key], item);
  return made;
}

function isMap(value: Json | undefined): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Conflicts, incomplete entries and broken bounds at a place. */
export function problemsAt(world: World, place: NaivePlace): string[] {
  const layers = layersAt(world, place);
  return naiveKinds[place.side].flatMap((kind) => [...conflicts(kind, layers), ...incomplete(kind, merge(kind, layers)), ...broken(world, kind, layers, place)]);
}

function conflicts(kind: string, layers: readonly Layer[]): string[] {
  const found: string[] = [];
  for (const [i, a] of layers.entries()) {
    for (const b of layers.slice(i + 1)) {
      if (a.strength !== b.strength || a.policy[kind] === undefined || b.policy[kind] === undefined) continue;
      const [left, right] = [writes(a.policy[kind], kind), writes(b.policy[kind], kind)];
      for (const x of left) for (const y of right) {
        if (`${x}/`.startsWith(`${y}/`) || `${y}/`.startsWith(`${x}/`)) found.push(`conflict ${x}`);
      }
    }
  }
  return found;
}

/** What a section writes; equal tags of a union are no conflict, so the tag is part of the path. */
function writes(value: Json, path: string): string[] {
  if (!isMap(value)) return [path];
  const tag = path === 'fault/action' ? [] : null;
  if (tag !== null) return Object.entries(value).flatMap(([key, item]) => (key === 'kind' ? [] : writes(item, `${path}/${key}`))).concat(value['kind'] === 'delay' ? `${path}/is-delay` : `${path}/is-abort`);
  return Object.entries(value).flatMap(([key, item]) => writes(item, `${path}/${key}`));
}

function incomplete(kind: string, section: NaiveSection): string[] {
  if (!section.on) return [];
  const found: string[] = [];
  for (const [name, limit] of Object.entries((kind === 'rateLimit' ? (section.value['limits'] as JsonObject | undefined) : undefined) ?? {})) {
    if (!isMap(limit) || limit['requests'] === undefined || limit['per'] === undefined) found.push(`incomplete ${name}`);
  }
  const action = kind === 'fault' ? (section.value['action'] as JsonObject | undefined) : undefined;
  if (action !== undefined && (action['kind'] === 'delay' ? action['by'] : action['status']) === undefined) found.push('incomplete action');
  return found;
}

function broken(world: World, kind: string, layers: readonly Layer[], place: NaivePlace): string[] {
  return layers.flatMap(({ policy, strength }) => ((policy['bounds'] ?? []) as readonly JsonObject[]).flatMap((bound) => {
    const [, name, ...path] = (bound['field'] as string).split('/');
    if (name !== kind) return [];
    if (((bound['except'] ?? []) as readonly JsonObject[]).some((target) => rankAt(world, target, place) !== null)) return [];
    const text = `bound ${bound['field'] as string}`;
    const [effective, upTo] = [merge(kind, layers), merge(kind, layers.filter((layer) => layer.strength <= strength))];
    if (!upTo.present) {
      if (path.length === 0 && bound['locked'] === true && effective.present) return [text];
    } else if (effective.on !== upTo.on || (effective.on && effective.shadow !== upTo.shadow)) return [text];
    if (!effective.on) return [];
    const [now, then] = [at(effective.value, path), at(upTo.value, path)];
    const found: string[] = [];
    for (const [where, value] of now) {
      if (bound['locked'] === true && JSON.stringify(sorted(then.get(where))) !== JSON.stringify(sorted(value))) found.push(text);
      if (bound['max'] !== undefined && !(amount(value) <= amount(bound['max']))) found.push(text);
      if (bound['min'] !== undefined && !(amount(value) >= amount(bound['min']))) found.push(text);
    }
    if (upTo.on || bound['locked'] === true) for (const where of then.keys()) if (!now.has(where)) found.push(text);
    return found;
  }));
}

function at(value: Json, path: readonly string[]): Map<string, Json> {
  const [first, ...rest] = path;
  if (first === undefined) return new Map([['', value]]);
  if (!isMap(value)) return new Map();
  const keys = first === '*' ? Object.keys(value) : Object.hasOwn(value, first) ? [first] : [];
  return new Map(keys.flatMap((key) => [...at(value[key] ?? null, rest)].map(([where, item]) => [`/${key}${where}`, item] as const)));
}

function amount(value: Json): number {
  if (typeof value === 'number') return value;
  const ms = parseDurationMs(value as string) ?? Number.NaN;
  return ms === 0 ? Number.POSITIVE_INFINITY : ms;
}

function sorted(value: Json | undefined): unknown {
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

/** Places where something is really enforced. */
export function realPlaces(world: World): NaivePlace[] {
  const places: NaivePlace[] = [];
  for (const [service, { routes }] of Object.entries(world.services)) {
    for (const route of ['', ...routes]) {
      places.push({ side: 'provider', service, route, caller: '', callerRoute: '' });
      for (const caller of Object.keys(world.services)) {
        if (world.services[caller]?.dependsOn.includes(service)) places.push({ side: 'caller', service, route, caller: `service/${caller}`, callerRoute: '' });
      }
      for (const [gateway, { routes: gatewayRoutes }] of Object.entries(world.gateways)) {
        for (const [callerRoute, to] of Object.entries(gatewayRoutes)) if (to === service) places.push({ side: 'caller', service, route, caller: `gateway/${gateway}`, callerRoute });
      }
    }
  }
  for (const [gateway, { routes }] of Object.entries(world.gateways)) {
    for (const route of ['', ...Object.keys(routes)]) places.push({ side: 'provider', gateway, route, caller: '', callerRoute: '' });
  }
  return places;
}

/** All that could ever be asked for. */
export function allPlaces(world: World): NaivePlace[] {
  const callers = ['', ...Object.keys(world.services).map((name) => `service/${name}`), ...Object.keys(world.gateways).map((name) => `gateway/${name}`)];
  const more: NaivePlace[] = [];
  for (const caller of callers) {
    const callerRoutes = caller.startsWith('gateway/') ? ['', ...Object.keys(world.gateways[caller.slice(8)]?.routes ?? {})] : [''];
    for (const callerRoute of callerRoutes) {
      for (const [service, { routes }] of Object.entries(world.services)) for (const route of ['', ...routes]) more.push({ side: 'caller', service, route, caller, callerRoute });
    }
  }
  for (const [gateway, { routes }] of Object.entries(world.gateways)) for (const route of ['', ...Object.keys(routes)]) more.push({ side: 'caller', gateway, route, caller: '', callerRoute: '' });
  return [...realPlaces(world), ...more];
}
