import { loadDocuments } from '@remora/model/load-documents';
import { createModel } from '@remora/model/model';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { WireKind } from '@remora/policy-kit/runtime-kind';
import { fallbackAuthoring } from '@remora/policy-fallback/compile';
import { fallbackWire } from '@remora/policy-fallback/wire';
import { mirrorAuthoring } from '@remora/policy-mirror/compile';
import { mirrorWire } from '@remora/policy-mirror/wire';
import { expect, test } from 'vitest';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import { IncrementalPlanner } from './incremental-planner.ts';
import type { Planned } from './planner.ts';

const kinds: ReadonlyMap<string, AuthoringKind> = new Map([['fallback', fallbackAuthoring], ['mirror', mirrorAuthoring]]);
const wireKinds: ReadonlyMap<string, WireKind<unknown>> = new Map<string, WireKind<unknown>>([['fallback', fallbackWire], ['mirror', mirrorWire]]);
const model = createModel({ kinds, checkRegex: () => null });

/** One state after the other; what is refused leaves the one before. */
class Steps {
  readonly #planner = new IncrementalPlanner({ model, kinds, wireKinds });
  #documents = new Map<DocumentKey, StoredDocument>();
  #planned: Planned | null = null;

  /** What is wrong with the step, as `document pointer code`. */
  take(text: string, gone: readonly DocumentKey[] = []): string[] {
    const { documents } = model.validateDocuments(loadDocuments([{ name: 'text', bytes: text }]).documents);
    const next = new Map([...this.#documents, ...documents.map(({ key, document }) => [key, { key, document, writtenAt: 1, owner: '' }] as const)]);
    for (const key of gone) next.delete(key);
    const result = this.#planner.plan(this.#planned, next, [...documents.map(({ key }) => key), ...gone]);
    if (!result.ok) return result.violations.map(({ document, pointer, code }) => `${document}${pointer} ${code}`);
    this.#planned = result.planned;
    this.#documents = next;
    return [];
  }
}

function begin(): Steps {
  const steps = new Steps();
  expect(steps.take(`
{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [orders]}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, dependsOn: [payments, payments-b]}
---
{kind: Service, name: payments, labels: {tier: gold}, ports: {http: {port: 80}}}
---
{kind: Service, name: payments-b, ports: {http: {port: 80}}}
---
{kind: Service, name: two-ports, ports: {one: {port: 80}, two: {port: 81}}}
---
{kind: Gateway, name: edge, listeners: {plain: {port: 80}}}
---
{kind: Route, name: to-web, gateway: edge, to: [{service: web}]}
`)).toEqual([]);
  return steps;
}

test.each([
  ['what every caller may call', '{kind: Policy, name: f, target: {service: payments}, fallback: {to: {service: payments-b}}}', []],
  ['the same by labels', '{kind: Policy, name: f, target: {services: {labels: {tier: gold}}}, mirror: {to: {service: payments-b}}}', []],
  ['the same by who calls', '{kind: Policy, name: f, target: {}, from: {service: orders}, fallback: {to: {service: payments-b}}}', []],
  ['what is called already', '{kind: Policy, name: f, target: {gateway: edge}, mirror: {to: {service: web, labels: {version: v2}}}}', []],
  ['a service that is not there', '{kind: Policy, name: f, target: {service: payments}, fallback: {to: {service: paymets}}}', ['Policy/f/fallback/to/service unknown-service']],
  ['a port that is not there', '{kind: Policy, name: f, target: {service: payments}, fallback: {to: {service: payments-b, port: grpc}}}', ['Policy/f/fallback/to/port unknown-port']],
  ['one of several ports', '{kind: Policy, name: f, target: {service: payments}, fallback: {to: {service: two-ports}}}', ['Policy/f/fallback/to/port ambiguous-port']],
  ['what the callers may not call', '{kind: Policy, name: f, target: {service: payments}, fallback: {to: {service: web}}}', ['Policy/f/fallback/to/service not-a-destination']],
  ['what some callers of everything may not call', '{kind: Policy, name: m, target: {}, mirror: {to: {service: payments-b}}}', ['Policy/m/mirror/to/service not-a-destination']],
  ['what the gateway has no Route to', '{kind: Policy, name: m, target: {gateway: edge}, mirror: {to: {service: payments}}}', ['Policy/m/mirror/to/service not-a-destination']],
  ['two places that are wrong', '{kind: Policy, name: x, target: {service: payments}, mirror: {to: {service: a}}, fallback: {to: {service: b}}}', ['Policy/x/fallback/to/service unknown-service', 'Policy/x/mirror/to/service unknown-service']],
])('calls sent to %s', (_what, text, expected) => {
  expect(begin().take(text)).toEqual(expected);
});

test('a dependency that a fallback needs cannot be taken away, nor a caller added without it', () => {
  const steps = begin();
  expect(steps.take('{kind: Policy, name: f, target: {service: payments}, fallback: {to: {service: payments-b}}}')).toEqual([]);
  const refused = ['Policy/f/fallback/to/service not-a-destination'];
  expect(steps.take('{kind: Service, name: orders, ports: {http: {port: 80}}, dependsOn: [payments]}')).toEqual(refused);
  expect(steps.take('{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [orders, payments]}')).toEqual(refused);
  expect(steps.take('{kind: Route, name: to-payments, gateway: edge, match: {path: {prefix: /payments}}, to: [{service: payments}]}')).toEqual(refused);
  expect(steps.take('{kind: Policy, name: f, target: {service: payments}, from: {service: web}, fallback: {to: {service: payments-b}}}\n---\n{kind: Service, name: orders, ports: {http: {port: 80}}, dependsOn: [payments]}')).toEqual([]);
});

test('a service that calls are sent to cannot be deleted', () => {
  const steps = begin();
  steps.take('{kind: Policy, name: f, target: {service: payments}, fallback: {to: {service: payments-b}}}');
  expect(steps.take('', ['Service/payments-b'])).toContain('Policy/f/fallback/to/service unknown-service');
});
