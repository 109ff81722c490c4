import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { contentHash } from '@remora/core/hash';
import { runSteps } from '@remora/core/steps';
import type { Violation } from '@remora/core/violation';
import { Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { expectGolden, goldenJson } from '@remora/testing/golden';
import { describe, expect, test } from 'vitest';
import type { DocumentKey } from '../store/store.ts';
import type { CompiledSubject } from './compilation.ts';
import { effectiveDiff } from './effective-diff.ts';
import { documentsOf, newPlanner, Steps } from './testdata/plan-text.ts';

const folder = path.join(import.meta.dirname, 'testdata');

function casesOf(group: string): string[] {
  return readdirSync(path.join(folder, group)).filter((name) => name.endsWith('.yaml'));
}

function planFile(group: string, name: string) {
  const documents = documentsOf(readFileSync(path.join(folder, group, name), 'utf8'));
  return newPlanner().plan(null, documents, documents.keys());
}

/** What a subject enforces, readable: entries by name, settings as the sections' JSON. */
function readable({ manifest, resources, destinations }: CompiledSubject): unknown {
  const { pages, subjectKind, subjectName, entryCount, format } = Manifest.decode(manifest);
  const bodyOf = (hash: Uint8Array) => Resource.decode(resources.get(Buffer.from(hash).toString('hex')) ?? new Uint8Array()).body;
  const short = (hash: Uint8Array): string => Buffer.from(hash).toString('hex').slice(0, 8);
  const entries = pages.flatMap((page) => {
    const body = bodyOf(page);
    return body?.$case === 'page' ? body.value.entries : [];
  }).map(({ name, hash }) => {
    const body = bodyOf(hash);
    if (body?.$case !== 'settings') return { name, ...body, value: JSON.parse(JSON.stringify(body?.value, shortHashes)) as unknown };
    return { settings: short(hash), sections: body.value.sections.map((section) => ({ ...section, body: JSON.parse(section.body.toString()) as unknown })) };
  });
  return { subject: `${subjectKind}/${subjectName}`, format, entryCount, destinations, entries };
}

/** Buffers arrive here as their JSON form. */
function shortHashes(key: string, value: unknown): unknown {
  const data = value !== null && typeof value === 'object' && 'type' in value && value.type === 'Buffer' && 'data' in value ? Buffer.from(value.data as number[]) : null;
  if (data === null) return value;
  return /settings$/i.test(key) ? data.toString('hex').slice(0, 8) : data.toString();
}

describe.each(casesOf('valid'))('valid/%s', (name) => {
  test('compiles to its golden snapshots', () => {
    const result = planFile('valid', name);
    expect(result.ok ? [] : result.violations).toEqual([]);
    if (!result.ok) return;
    const { compilation, staticEndpoints, summaries } = result.planned;
    const subjects = [...compilation.subjects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, subject]) => readable(subject));
    expectGolden(path.join(folder, 'valid', `${name}.golden.json`), goldenJson({ subjects, staticEndpoints, summaries: [...summaries.values()].map(({ hash: _hash, ...rest }) => rest) }));
  });

  test('every hash is that of the bytes, and the manifest reaches exactly the resources', () => {
    const result = planFile('valid', name);
    for (const subject of result.ok ? result.planned.compilation.subjects.values() : []) {
      expect(contentHash(subject.manifest)).toBe(subject.hash);
      const reached = new Set<string>();
      for (const page of Manifest.decode(subject.manifest).pages) {
        const hash = page.toString('hex');
        reached.add(hash);
        const body = Resource.decode(subject.resources.get(hash) ?? new Uint8Array()).body;
        for (const entry of body?.$case === 'page' ? body.value.entries : []) reached.add(entry.hash.toString('hex'));
      }
      expect([...subject.resources.keys()].sort()).toEqual([...reached].sort());
      for (const [hash, bytes] of subject.resources) expect(contentHash(bytes)).toBe(hash);
    }
  });
});

describe.each(casesOf('invalid'))('invalid/%s', (name) => {
  test('is refused with its golden violations', () => {
    const result = planFile('invalid', name);
    expect(result.ok).toBe(false);
    if (!result.ok) expectGolden(path.join(folder, 'invalid', `${name}.golden.json`), goldenJson(result.violations));
  });
});

const base = `
{kind: Service, name: web, labels: {team: shop}, ports: {http: {port: 80}}, dependsOn: [orders]}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, dependsOn: [payments]}
---
{kind: Service, name: payments, labels: {tier: gold}, ports: {http: {port: 80}}}
---
{kind: Gateway, name: edge, listeners: {plain: {port: 80}}}
---
{kind: Route, name: to-web, gateway: edge, to: [{service: web}]}
---
{kind: Route, name: pay, service: payments, match: {path: {exact: /pay}}}
---
{kind: Policy, name: baseline, target: {}, timeout: {request: 10s}}
`;

describe('what an edit touches', () => {
  test.each([
    ['a provider-side section of one service', '{kind: Policy, name: p, target: {service: orders}, rateLimit: {headerStyle: kong}}', ['service/orders']],
    ['a provider-side section of a route', '{kind: Policy, name: p, target: {service: payments, route: pay}, rateLimit: {headerStyle: kong}}', ['service/payments']],
    ['a caller-side section: those who call', '{kind: Policy, name: p, target: {service: orders}, timeout: {idle: 1s}}', ['service/web']],
    ['a caller-side section for one caller', '{kind: Policy, name: p, target: {service: payments}, from: {service: orders}, timeout: {idle: 1s}}', ['service/orders']],
    ['a caller-side section for callers with labels', '{kind: Policy, name: p, target: {}, from: {labels: {team: shop}}, timeout: {idle: 1s}}', ['service/web']],
    ['a caller-side section for a caller that does not call', '{kind: Policy, name: p, target: {service: payments}, from: {service: web}, timeout: {idle: 1s}}', []],
    ['services with labels', '{kind: Policy, name: p, target: {services: {labels: {tier: gold}}}, rateLimit: {headerStyle: kong}, timeout: {idle: 1s}}', ['service/orders', 'service/payments']],
    ['what a gateway calls', '{kind: Policy, name: p, target: {gateway: edge}, timeout: {idle: 1s}}', ['gateway/edge']],
    ['all gateways', '{kind: Policy, name: p, target: {gateways: all}, rateLimit: {headerStyle: kong}}', ['gateway/edge']],
    ['everything', '{kind: Policy, name: baseline, target: {}, timeout: {request: 11s}, rateLimit: {headerStyle: kong}}', ['gateway/edge', 'service/orders', 'service/payments', 'service/web']],
    ['the same in other words', '{target: {}, timeout: {request: 10000ms}, name: baseline, kind: Policy}', []],
    ['a service\'s port: itself and its callers', '{kind: Service, name: orders, ports: {http: {port: 81}}, dependsOn: [payments]}', ['service/orders', 'service/web']],
    ['a new dependency', '{kind: Service, name: web, labels: {team: shop}, ports: {http: {port: 80}}, dependsOn: [orders, payments]}', ['service/web']],
    ['weights of a split: callers only', '{kind: Route, name: pay, service: payments, match: {path: {exact: /pay}}, to: [{labels: {v: "1"}, weight: 1}, {labels: {v: "2"}, weight: 2}]}', ['service/orders']],
    ['endpoints: nobody\'s configuration', '{kind: Service, name: payments, labels: {tier: gold}, ports: {http: {port: 80}}, endpoints: [{address: 10.0.0.1}]}', []],
    ['the mesh', '{kind: Mesh, name: mesh, trustDomain: x.example}', ['gateway/edge', 'service/orders', 'service/payments', 'service/web']],
    ['a new service', '{kind: Service, name: fresh, ports: {http: {port: 80}}}', ['service/fresh']],
  ])('%s', (_what, text, touched) => {
    const steps = new Steps();
    steps.apply(base);
    const planned = steps.apply(text);
    expect([...planned.changed].sort()).toEqual(touched);
    const cold = newPlanner().plan(null, steps.documents, steps.documents.keys());
    expect(cold.ok && [...cold.planned.compilation.subjects].map(([key, { hash }]) => `${key} ${hash}`).sort()).toEqual([...planned.compilation.subjects].map(([key, { hash }]) => `${key} ${hash}`).sort());
  });

  test('what is not touched stays the same object', () => {
    const steps = new Steps();
    const before = steps.apply(base);
    const after = steps.apply('{kind: Policy, name: p, target: {service: orders}, rateLimit: {headerStyle: kong}}');
    expect(after.compilation.subjects.get('service/payments')).toBe(before.compilation.subjects.get('service/payments'));
    const shared = [...(after.compilation.subjects.get('service/orders')?.resources ?? [])].filter(([hash, bytes]) => before.compilation.subjects.get('service/orders')?.resources.get(hash) === bytes);
    expect(shared.length).toBeGreaterThan(3);
  });

  test('nothing: the same compilation', () => {
    const steps = new Steps();
    const before = steps.apply(base);
    const result = steps.planner.plan(before, steps.documents, []);
    expect(result.ok && result.planned.compilation.subjects).toBe(before.compilation.subjects);
  });

  test('deleting a service removes its subject', () => {
    const steps = new Steps();
    steps.apply(`${base}\n---\n{kind: Service, name: lonely, ports: {http: {port: 80}}, endpoints: [{address: 10.0.0.1}]}`);
    const planned = steps.apply('', ['Service/lonely']);
    expect([...planned.changed]).toEqual(['service/lonely']);
    expect(planned.compilation.subjects.has('service/lonely')).toBe(false);
    expect(planned.staticEndpoints.has('lonely')).toBe(false);
  });
});

describe('refusals of a step', () => {
  test.each([
    ['deleting what others name', '', ['Service/payments'], ['Route/pay/service unknown-service', 'Service/orders/dependsOn/0 unknown-service']],
    ['a new bound that existing documents break', '{kind: Policy, name: b, target: {services: all}, bounds: [{field: /timeout/request, max: 5s}]}', [], ['Policy/baseline/timeout/request bound-broken']],
    ['a conflict with what is there', '{kind: Policy, name: other, target: {}, timeout: {request: 9s}}', [], ['Policy/other/timeout/request conflict']],
    ['a dependency that makes two labels meet', '{kind: Policy, name: x, target: {services: {labels: {team: shop}}}, rateLimit: {headerStyle: kong}}\n---\n{kind: Policy, name: y, target: {services: {labels: {tier: gold}}}, rateLimit: {headerStyle: draft}}\n---\n{kind: Service, name: web, labels: {team: shop, tier: gold}, ports: {http: {port: 80}}, dependsOn: [orders]}', [], ['Policy/y/rateLimit/headerStyle conflict']],
    ['a renamed port that a Route names', '{kind: Route, name: pay, service: payments, ports: [http]}\n---\n{kind: Service, name: payments, ports: {web: {port: 80}}}', [], ['Route/pay/ports/0 unknown-port']],
    ['what only a sidecar refuses', '{kind: Policy, name: poison, target: {service: web}, rateLimit: {limits: {a: {requests: 1, per: 1s, key: [x-poison]}}}}', [], ['Policy/poison/rateLimit/limits sidecar-refuses-poison']],
  ] as const)('%s', (_what, text, gone, expected) => {
    const steps = new Steps();
    const before = steps.apply(base);
    const result = steps.try(text, gone);
    expect(result.ok ? [] : result.violations.map(({ document, pointer, code }) => `${document}${pointer} ${code}`)).toEqual(expected);
    expect(steps.planned).toBe(before);
  });

  test('what breaks a bound may come with the fix in one step', () => {
    const steps = new Steps();
    steps.apply(base);
    expect(steps.apply('{kind: Policy, name: b, target: {services: all}, bounds: [{field: /timeout/request, max: 5s}]}\n---\n{kind: Policy, name: baseline, target: {}, timeout: {request: 5s}}').changed.size).toBeGreaterThan(0);
  });

  test('documents that this build does not understand are violations, not crashes', () => {
    const stored = { key: 'Policy/old', document: { kind: 'Policy', name: 'old', target: {}, caching: {} }, writtenAt: 1, owner: '' } as const;
    const result = newPlanner().plan(null, new Map([[stored.key, stored]]), [stored.key]);
    expect(result.ok ? [] : result.violations).toMatchObject([{ document: 'Policy/old', pointer: '/caching', code: 'unknown-field' }]);
  });

  test('settings beyond what a resource can hold', () => {
    const steps = new Steps();
    const limits = (prefix: string): string => Array.from({ length: 1_500 }, (_, i) => `${prefix}${i}: {requests: 1, per: 1s, key: [${'k'.repeat(60)}]}`).join(', ');
    const result = steps.try(`${base}\n---\n{kind: Policy, name: a, target: {}, rateLimit: {limits: {${limits('a')}}}}\n---\n{kind: Policy, name: b, target: {service: web}, rateLimit: {limits: {${limits('b')}}}}`);
    expect(result.ok ? [] : result.violations.map(({ code, message }) => [code, message.endsWith('service/web')])).toEqual([['too-large', true]]);
  });
});

test('guards: the last Route of a gateway', () => {
  const steps = new Steps();
  expect(steps.apply(base).guards).toEqual([]);
  expect(steps.apply('', ['Route/to-web']).guards).toMatchObject([{ guard: 'empties-routes', subject: { kind: 'gateway', name: 'edge' } }]);
  expect(steps.apply('{kind: Policy, name: p, target: {}, retry: {retries: 1}}').guards).toEqual([]);
});

test('effectiveDiff says what is enforced otherwise, where, and by whom', () => {
  const steps = new Steps();
  const before = steps.apply(base);
  const after = steps.apply('{kind: Policy, name: baseline, target: {}, timeout: {request: 5s}}\n---\n{kind: Policy, name: p, target: {service: payments}, rateLimit: {enforcement: shadow, limits: {a: {requests: 1, per: 1s}}}, retry: {retries: 1}}');
  expectGolden(path.join(folder, 'effective-diff.golden.json'), goldenJson(runSteps(effectiveDiff(before, after, { all: true }))));
  expect(runSteps(effectiveDiff(after, { ...before, changed: after.changed }, { all: true })).changes.length).toBeGreaterThan(0);
  expect(runSteps(effectiveDiff(after, after, { all: true }))).toEqual({ changes: [], more: 0, defaults: 0 });
  const [all, set] = [runSteps(effectiveDiff(before, after, { all: true })), runSteps(effectiveDiff(before, after, { all: false }))];
  expect(set.changes.length + set.defaults).toBe(all.changes.length);
  expect(set.defaults).toBeGreaterThan(0);
  expect(set.changes.filter(({ winner, before: was, after: is }) => winner === 'default' && (was === undefined || is === undefined))).toEqual([]);
});

test('explain names winner, losers, bounds and why', () => {
  const steps = new Steps();
  const planned = steps.apply(`${base}\n---\n{kind: Policy, name: slow, target: {service: payments}, from: {service: orders}, timeout: {request: 12s}, bounds: [{field: /timeout/request, max: 20s}]}`);
  const place = { owner: { kind: 'service', name: 'payments' }, route: 'pay', caller: { kind: 'service', name: 'orders' } } as const;
  expectGolden(path.join(folder, 'explain.golden.json'), goldenJson(planned.resolver.explain(place, '/timeout')));
  expect(planned.resolver.explain({ owner: { kind: 'service', name: 'nobody' } })).toBeNull();
  expect(planned.resolver.explain({ ...place, route: 'to-web' })).toBeNull();
  expect(planned.resolver.explain(place, '/timeout/request')?.map(({ pointer }) => pointer)).toEqual(['/timeout/request']);
});

test('check tells what is wrong across documents beside documents that are wrong by themselves', () => {
  const steps = new Steps();
  const before = steps.apply(base);
  const texts = '{kind: Policy, name: p, target: {service: unreadable}, timeout: {idle: 1s}}\n---\n{kind: Policy, name: q, target: {service: nobody}, timeout: {idle: 1s}}\n---\n{kind: Policy, name: r, target: {}, timeout: {request: 1s}}';
  const next = new Map([...steps.documents, ...documentsOf(texts)]);
  const keys = ['Policy/p', 'Policy/q', 'Policy/r'] as const;
  const check = (...unreadable: readonly DocumentKey[]): readonly Violation[] => runSteps(steps.planner.checkInSteps(before, next, keys, new Set(unreadable)));
  const told = (violations: readonly { readonly document?: string; readonly code: string }[]): string[] => violations.map(({ document, code }) => `${document} ${code}`);
  expect(told(check('Service/unreadable'))).toEqual(['Policy/q unknown-service', 'Policy/r conflict']);
  // A policy that is being rewritten, unreadably, cannot be in conflict.
  expect(told(check('Service/unreadable', 'Policy/baseline'))).toEqual(['Policy/q unknown-service']);
  expect(told(check())).toEqual(['Policy/p unknown-service', 'Policy/q unknown-service', 'Policy/r conflict']);
});
