import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { WireKind } from '@remora/policy-kit/runtime-kind';
import { loadDocuments } from '@remora/model/load-documents';
import { createModel } from '@remora/model/model';
import { checkRegex } from '@remora/router/regex';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { authoringKinds, wireKinds } from '../kinds.ts';
import { createPlanner, type Planned, type PlanResult } from '../compile/planner.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import type { Place } from './effective.ts';

/** A kind that finds credentials, as simple as can be, in place of one of the catalogue. */
const finder = (name: string): AuthoringKind => ({
  name, side: 'provider', always: false, shadow: true, format: 1, schema: z.strictObject({ from: z.string().optional() }), defaults: {}, compile: () => ({ minFormat: 1, body: new Uint8Array(0) }),
});
const finders = ['apiKey', 'hmac'];
const kinds = new Map([...authoringKinds, ...finders.map((name): [string, AuthoringKind] => [name, finder(name)])]);
const wires = new Map<string, WireKind<unknown>>([...wireKinds, ...finders.map((name): [string, WireKind<unknown>] => [name, { name, format: 1, decode: () => Object.freeze({}) }])]);
const model = createModel({ kinds, checkRegex });
const planner = createPlanner({ kinds, wireKinds: wires, model });

const base = 'kind: Service\nname: orders\nports: {http: {port: 80, protocol: http}}\n---\nkind: Service\nname: web\nports: {http: {port: 80, protocol: http}}\n---\nkind: Consumer\nname: visitors\n---\n';
const orders: Place = { owner: { kind: 'service', name: 'orders' } };

function plan(text: string): PlanResult {
  const { documents, violations } = loadDocuments([{ name: 'text', bytes: base + text }]);
  const result = model.validateDocuments(documents);
  expect([...violations, ...result.violations]).toEqual([]);
  const stored = new Map<DocumentKey, StoredDocument>(result.documents.map(({ key, document }) => [key, { key, document, writtenAt: 1, owner: '' }]));
  return planner.plan(null, stored, stored.keys());
}

function planned(text: string): Planned {
  const result = plan(text);
  if (!result.ok) throw new Error(JSON.stringify(result.violations));
  return result.planned;
}

const policy = (name: string, target: string, rest: string): string => `kind: Policy\nname: ${name}\ntarget: ${target}\n${rest}\n---\n`;

function authentication(text: string): { value: JsonObject; shadow: boolean; why: string[] } | null {
  const { resolver } = planned(text);
  const section = resolver.effective(orders).find(({ kind }) => kind === 'authentication');
  return section === undefined ? null : { value: section.value, shadow: section.shadow, why: section.provenance.map(({ pointer, why }) => `${pointer}: ${why}`) };
}

describe('authentication', () => {
  test('is there with its defaults where a kind that finds credentials is, and explain says why', () => {
    expect(authentication(policy('keys', '{service: web}', 'apiKey: {from: a}'))).toBeNull();
    expect(authentication(policy('keys', '{service: orders}', 'apiKey: {from: a}'))).toEqual({
      value: { unmapped: 'allow' }, shadow: false, why: ['/authentication/unmapped: No policy sets it; this is the default. authentication is in effect here because of apiKey.'],
    });
  });

  test('goes with the last of them', () => {
    expect(authentication(policy('keys', '{}', 'apiKey: {from: a}') + policy('no-keys', '{service: orders}', 'apiKey: {enabled: false}'))).toBeNull();
  });

  test('is switched off at a stronger level, unless a bound forbids it', () => {
    const keys = policy('keys', '{services: all}', 'apiKey: {from: a}');
    const off = policy('open', '{service: orders}', 'authentication: {enabled: false}');
    expect(authentication(keys + off)).toBeNull();
    const result = plan(keys + off + policy('rule', '{}', 'bounds: [{field: /authentication, locked: true}]'));
    expect(result.ok ? [] : result.violations).toMatchObject([{ document: 'Policy/open', pointer: '/authentication/enabled', code: 'bound-broken' }]);
  });

  test('a bound on a field holds where no policy sets the section', () => {
    const bound = policy('rule', '{}', 'bounds: [{field: /authentication/unmapped, oneOf: [refuse]}]');
    const result = plan(policy('keys', '{service: orders}', 'apiKey: {from: a}') + bound);
    expect(result.ok ? [] : result.violations).toMatchObject([{ document: 'Policy/rule', code: 'bound-broken' }]);
    expect(plan(bound).ok).toBe(true);
  });

  test('is in shadow where all of them are, and enforced where one is', () => {
    const shadow = policy('keys', '{service: orders}', 'apiKey: {enforcement: shadow}');
    expect(authentication(shadow)).toMatchObject({ shadow: true, why: expect.arrayContaining([expect.stringMatching(/^\/authentication\/enforcement: .*in shadow/)]) });
    expect(authentication(shadow + policy('signed', '{services: all}', 'hmac: {from: a}'))).toMatchObject({ shadow: false });
  });

  test('brings a kind that it asks for by name, where nobody says anything of it and its defaults are enough', () => {
    const asked = policy('ask', '{service: orders}', 'authentication: {require: {any: [apiKey, hmac]}}');
    const there = (text: string): string[] => planned(text).resolver.effective(orders).filter(({ kind }) => finders.includes(kind)).map(({ kind, shadow }) => `${kind}${shadow ? ' in shadow' : ''}`);
    expect(there(asked)).toEqual(['apiKey', 'hmac']);
    expect(there(policy('ask', '{service: web}', 'authentication: {require: {any: [apiKey, hmac]}}'))).toEqual([]);
    expect(there(policy('ask', '{service: orders}', 'authentication: {enforcement: shadow, require: {any: [apiKey]}}'))).toEqual(['apiKey in shadow']);
    // Nothing is brought where authentication itself is switched off.
    expect(there(asked + policy('never', '{services: all}', 'authentication: {enabled: false}'))).toEqual([]);
    const explained = planned(asked).resolver.explain(orders, '/authentication') ?? [];
    expect(explained.map(({ why }) => why).join(' ')).toContain('authentication is in effect here because of apiKey, hmac');
    // A section of its own decides for itself, whatever asks for it.
    expect(there(policy('ask', '{service: orders}', 'apiKey: {from: a}\nauthentication: {enforcement: shadow, require: {any: [apiKey]}}'))).toEqual(['apiKey']);
  });

  test('requiring what is not enforced there is refused, with its place', () => {
    for (const [text, pointer, code] of [
      [policy('keys', '{service: orders}', 'apiKey: {from: a}\nauthentication: {require: {any: [apiKey, jwt]}}'), '/authentication/require/any/1', 'not-in-effect'],
      [policy('keys', '{service: orders}', 'apiKey: {from: a}\nauthentication: {require: {any: [apiKey, hmac]}}') + policy('none', '{services: all}', 'hmac: {enabled: false}'), '/authentication/require/any/1', 'not-in-effect'],
      [policy('keys', '{service: orders}', 'apiKey: {enforcement: shadow}\nauthentication: {enforcement: enforce, require: {all: [apiKey]}}'), '/authentication/require/all/0', 'not-in-effect'],
      [policy('alone', '{service: orders}', 'authentication: {unmapped: refuse}'), '/authentication', 'nothing-to-require'],
      [policy('keys', '{service: orders}', 'apiKey: {from: a}\nauthentication: {anonymous: nobody}'), '/authentication/anonymous', 'unknown-consumer'],
    ] as const) {
      const result = plan(text);
      expect(result.ok ? [] : result.violations).toMatchObject([{ pointer, code }]);
    }
    expect(plan(policy('mesh', '{service: orders}', 'authentication: {require: {any: [mesh]}}')).ok).toBe(true);
  });

  test('set for many, it has nothing to decide where nothing is looked for, and explain says so', () => {
    const found = authentication(policy('wide', '{services: all}', 'authentication: {unmapped: refuse}') + policy('keys', '{service: web}', 'apiKey: {from: a}'));
    expect(found?.why[0]).toContain('nothing to decide over here: none of');
  });
});
