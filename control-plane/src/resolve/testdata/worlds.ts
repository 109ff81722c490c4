import type { JsonObject } from '@remora/core/canonical-json';
import * as fc from 'fast-check';
import type { DocumentKey, StoredDocument } from '../../store/store.ts';
import type { World } from './naive-model.ts';

/** Three services that call each other and two gateways; random policies. Small, so that policies meet. */
export const places: Omit<World, 'policies'> = {
  services: {
    a: { labels: { tier: 'x' }, routes: ['ra'], dependsOn: [] },
    b: { labels: { tier: 'x', zone: 'z' }, routes: ['rb'], dependsOn: ['a'] },
    c: { labels: { tier: 'y' }, routes: [], dependsOn: ['a', 'b'] },
  },
  gateways: { g: { labels: { tier: 'x' }, routes: { rg: 'a' } }, h: { labels: {}, routes: { rh: 'b', ri: 'a' } } },
};

const targets: readonly JsonObject[] = [
  {}, { services: 'all' }, { gateways: 'all' }, { services: { labels: { tier: 'x' } } }, { services: { labels: { zone: 'z' } } },
  { service: 'a' }, { service: 'b' }, { service: 'c' }, { gateway: 'g' }, { gateway: 'h' },
  { service: 'a', route: 'ra' }, { service: 'b', route: 'rb' }, { gateway: 'g', route: 'rg' }, { gateway: 'h', route: 'rh' }, { gateway: 'h', route: 'ri' },
];

const froms: readonly JsonObject[] = [{ service: 'b' }, { service: 'c' }, { gateway: 'g' }, { labels: { tier: 'x' } }];

function some(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<JsonObject> {
  return fc.record(fields, { requiredKeys: [] }).filter((value) => Object.keys(value).length > 0) as fc.Arbitrary<JsonObject>;
}

const limit = fc.oneof(
  { weight: 3, arbitrary: some({ requests: fc.constantFrom(10, 20), per: fc.constantFrom('1m', '2m'), burst: fc.constant(5) }) },
  { weight: 3, arbitrary: fc.constant({ requests: 30, per: '1s' }) },
  { weight: 1, arbitrary: fc.constant(null) },
);
const enabled = fc.constantFrom(true, true, false);
const enforcement = fc.constantFrom('enforce', 'shadow');
const action = fc.oneof(
  fc.record({ kind: fc.constant('delay'), by: fc.constant('1s'), jitter: fc.constant('5ms') }, { requiredKeys: ['kind'] }),
  fc.record({ kind: fc.constant('abort'), status: fc.constant(503), body: fc.constant('x') }, { requiredKeys: ['kind'] }),
);

const providerSections = some({
  rateLimit: some({ limits: some({ perIp: limit, perPath: limit, __proto0: limit }), headerStyle: fc.constantFrom('draft', 'kong'), enabled, enforcement }).map(({ limits, ...rest }) => {
    const { __proto0, ...named } = (limits ?? {}) as JsonObject;
    return { ...rest, ...(Object.keys(named).length > 0 ? { limits: named } : {}), ...(__proto0 === undefined && Object.keys(rest).length + Object.keys(named).length > 0 ? {} : { headerStyle: 'kong' }) };
  }),
  requestLimits: some({ headerCount: fc.constantFrom(50, 60), bodyBytes: fc.constantFrom('1KiB', 'unlimited'), enabled }),
  fault: some({ share: fc.constantFrom('5%', 0.5), action, enabled, enforcement }),
});

const callerSections = some({
  timeout: some({ connect: fc.constantFrom('2s', '3s'), request: fc.constantFrom('5s', '0s', '30s'), idle: fc.constant('9s'), enabled }),
  retry: some({ retries: fc.constantFrom(0, 5), retryOn: fc.constantFrom(['reset'], ['connect-failure', 503]), budget: some({ ratio: fc.constantFrom(0.1, '30%'), minPerSecond: fc.constant(1) }), enabled }),
});

const except = fc.option(fc.constantFrom([{ service: 'a' }], [{ gateways: 'all' }], [{ services: { labels: { tier: 'x' } } }, { gateway: 'h', route: 'rh' }]), { nil: undefined });
const bound = fc.oneof(
  fc.constantFrom({ field: '/rateLimit/limits/*/requests', max: 20 }, { field: '/rateLimit', locked: true }, { field: '/rateLimit/headerStyle', locked: true }, { field: '/rateLimit/limits/perIp', locked: true }, { field: '/requestLimits/headerCount', max: 55 }),
  fc.constantFrom({ field: '/timeout/request', max: '20s' }, { field: '/timeout/request', locked: true }, { field: '/retry/retries', min: 1, max: 4 }, { field: '/retry', locked: true }),
).chain((made) => except.map((list) => (list === undefined ? made : { ...made, except: list })));

/** Sections and bounds of one policy; `from` only where it is possible. */
const body = (bounds: number): fc.Arbitrary<JsonObject> => fc.tuple(fc.constantFrom(...targets), providerSections, callerSections, fc.constantFrom('provider', 'caller', 'both', 'narrowed'), fc.constantFrom(...froms), fc.array(bound, { maxLength: bounds }))
  .map(([target, provider, caller, which, from, list]): JsonObject => {
    const ofService = target['gateway'] === undefined && target['gateways'] === undefined;
    const sections = which === 'provider' ? provider : which === 'both' ? { ...provider, ...caller } : caller;
    if (which === 'narrowed' && ofService) return { target, from, ...sections };
    return { target, ...sections, ...(list.length > 0 ? { bounds: list } : {}) };
  });

export function policies(options: { readonly max: number; readonly bounds: number }): fc.Arbitrary<JsonObject[]> {
  return fc.array(body(options.bounds), { minLength: 1, maxLength: options.max }).map((list) => list.map((policy, i) => ({ kind: 'Policy', name: `p${i}`, ...policy })));
}

export function worldDocuments(world: World): JsonObject[] {
  return [
    ...Object.entries(world.services).map(([name, { labels, dependsOn }]) => ({ kind: 'Service', name, labels, ports: { http: { port: 8080 } }, dependsOn })),
    ...Object.entries(world.services).flatMap(([service, { routes }]) => routes.map((name) => ({ kind: 'Route', name, service, match: { path: { prefix: `/${name}` } } }))),
    ...Object.entries(world.gateways).map(([name, { labels }]) => ({ kind: 'Gateway', name, labels, listeners: { plain: { port: 80 } } })),
    ...Object.entries(world.gateways).flatMap(([gateway, { routes }]) => Object.entries(routes).map(([name, service]) => ({ kind: 'Route', name, gateway, match: { path: { prefix: `/${name}` } }, to: [{ service }] }))),
    ...world.policies,
  ];
}

export function stored(documents: readonly JsonObject[]): Map<DocumentKey, StoredDocument> {
  return new Map(documents.map((document) => {
    const key: DocumentKey = `${document['kind'] as string}/${document['name'] as string}`;
    return [key, { key, document, writtenAt: 1, owner: '' }];
  }));
}
