import type { JsonObject } from '@remora/core/canonical-json';
import type { Answer, Exchange } from '@remora/policy-kit/exchange';
import { RequestIdentity, type ConsumerFacts, type CredentialKind } from '@remora/policy-kit/request-identity';
import { shadowed } from '@remora/policy-kit/shadow';
import { ConsumersPart } from '@remora/proto/gen/remora/consumers/v1/consumers';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { describe, expect, test } from 'vitest';
import { authenticationAuthoring } from './compile.ts';
import { authenticationRuntime } from './filter.ts';
import { authenticationRequired } from './reasons.ts';
import { checkAmong } from './schema.ts';

testKindCases(import.meta.dirname, authenticationAuthoring, authenticationRuntime);

const gold: ConsumerFacts = { name: 'gold', groups: ['partners'], plan: 'gold' };
const forged: Answer = { reason: { ...authenticationRequired, code: 'jwt-invalid' }, status: 401, fields: [], body: null, contentType: '', detail: '', kind: 'jwt', pointer: '/issuers/a' };

interface Shown {
  readonly proved?: Partial<Record<CredentialKind, ConsumerFacts | null>>;
  readonly failure?: Answer;
  readonly challenges?: readonly string[];
  readonly invitation?: Answer;
}

function build(section: JsonObject, inEffect: readonly string[] = ['apiKey', 'jwt']) {
  const context = new TestFilterContext('authentication');
  const visitors = ConsumersPart.encode(ConsumersPart.fromPartial({ consumers: [{ name: 'visitors', groups: ['public'], plan: '', identities: [] }] })).finish();
  context.factBooks.apply({ kind: 'consumers', full: true, facts: new Map([['consumers.1', visitors]]) });
  const filter = authenticationRuntime.edge?.(authenticationRuntime.decode(authenticationAuthoring.compile(effectiveSection(authenticationAuthoring, section), inEffect).body), context) ?? null;
  return { context, filter };
}

function identityOf({ proved = {}, failure, challenges = [], invitation }: Shown): RequestIdentity {
  const identity = new RequestIdentity();
  for (const [kind, consumer] of Object.entries(proved)) identity.finds(kind as CredentialKind, { consumer, subject: kind, issuer: '', claims: null, scopes: [] });
  if (failure !== undefined) identity.fails('jwt', failure);
  for (const challenge of challenges) identity.challenge(challenge);
  identity.invitation = invitation ?? null;
  return identity;
}

function ask(section: JsonObject, shown: Shown | null, step: Partial<ExchangeStep> = {}, inEffect?: readonly string[]): { verdict: string; x: Exchange; answer: Answer | null } {
  const { filter, context } = build(section, inEffect);
  const x = makeExchange({ request: { method: 'GET', authority: 'api.example', target: '/orders' }, ...step }, context);
  x.identity = shown === null ? null : identityOf(shown);
  const verdict = filter?.request?.(x) ?? null;
  if (typeof verdict === 'symbol') throw new Error('it never waits');
  return { verdict: verdict === null ? 'pass' : verdict.reason.code, x, answer: verdict };
}

const caller = { connection: { principal: 'spiffe://mesh.local/service/web' } };
const health = { request: { method: 'GET', authority: 'api.example', target: '/health' } };
const exempt = { health: { paths: ['/health'] } };

describe('authentication', () => {
  test.each<[string, JsonObject, Shown | null, Partial<ExchangeStep>, string]>([
    ['nothing shown', {}, {}, {}, 'authentication-required'],
    ['no kind even looked', {}, null, {}, 'authentication-required'],
    ['one of those in effect is enough', {}, { proved: { apiKey: gold } }, {}, 'pass'],
    ['a kind that is not in effect', {}, { proved: { hmac: gold } }, {}, 'authentication-required'],
    ['a certificate of the mesh, not asked for', {}, {}, caller, 'authentication-required'],
    ['a certificate of the mesh, asked for', { require: { any: ['mesh'] } }, {}, caller, 'pass'],
    ['a certificate of the mesh, before anybody looked', { require: { any: ['mesh'] } }, null, caller, 'pass'],
    ['a SPIFFE id that an authority from outside vouches for', { require: { any: ['mesh'] } }, {}, { connection: { principal: 'spiffe://other.example/x', clientCertificate: { fingerprint: '', subject: '', dnsNames: [], uris: [], emails: [], endsMs: 0, serial: '', issuerHash: '', issuerKeyId: '' } } }, 'authentication-required'],
    ['one of two that are both required', { require: { all: ['jwt', 'apiKey'] } }, { proved: { jwt: gold } }, {}, 'authentication-required'],
    ['both of two that are required', { require: { all: ['jwt', 'apiKey'] } }, { proved: { jwt: null, apiKey: gold } }, {}, 'pass'],
    ['mesh and a token, without the token', { require: { all: ['jwt', 'mesh'] } }, {}, caller, 'authentication-required'],
    ['mesh and a token', { require: { all: ['jwt', 'mesh'] } }, { proved: { jwt: gold } }, caller, 'pass'],
    ['a forged token', {}, { failure: forged }, {}, 'jwt-invalid'],
    ['a forged token beside a good key', {}, { failure: forged, proved: { apiKey: gold } }, {}, 'jwt-invalid'],
    ['a forged token of a caller of the mesh', { require: { any: ['mesh'] } }, { failure: forged }, caller, 'jwt-invalid'],
    ['a forged token where anonymous clients are let in', { anonymous: 'visitors' }, { failure: forged }, {}, 'jwt-invalid'],
    ['an exempt path, nothing shown', { exempt }, {}, health, 'pass'],
    ['an exempt path, a forged token', { exempt }, { failure: forged }, health, 'pass'],
    ['an exempt path, an unmapped token', { exempt, unmapped: 'refuse' }, { proved: { jwt: null } }, health, 'pass'],
    ['an exempt caller', { exempt: { web: { callers: ['spiffe://mesh.local/service/*'] } } }, {}, caller, 'pass'],
    ['an exempt caller, by an authority from outside', { exempt: { web: { callers: ['*'] } } }, {}, { connection: { ...caller.connection, clientCertificate: { fingerprint: '', subject: '', dnsNames: [], uris: [], emails: [], endsMs: 0, serial: '', issuerHash: '', issuerKeyId: '' } } }, 'authentication-required'],
    ['below an exempt path', { exempt }, {}, { request: { method: 'GET', authority: 'a', target: '/health/x' } }, 'authentication-required'],
    ['unmapped, allowed', {}, { proved: { jwt: null } }, {}, 'pass'],
    ['unmapped, refused', { unmapped: 'refuse' }, { proved: { jwt: null } }, {}, 'consumer-unmapped'],
    ['mapped by the second of two', { unmapped: 'refuse' }, { proved: { jwt: null, apiKey: gold } }, {}, 'pass'],
    ['only mesh, where unmapped clients are refused', { unmapped: 'refuse', require: { any: ['mesh'] } }, {}, caller, 'pass'],
    ['anonymous', { anonymous: 'visitors' }, {}, {}, 'pass'],
    ['anonymous, with a credential that is not enough', { anonymous: 'visitors', require: { all: ['jwt', 'apiKey'] } }, { proved: { jwt: gold } }, {}, 'authentication-required'],
  ])('%s', (_title, section, shown, step, expected) => {
    expect(ask(section, shown, step).verdict).toBe(expected);
  });

  test('tells every challenge, in the order of the pipeline', () => {
    const { answer } = ask({}, { challenges: ['Bearer realm="a"', 'ApiKey realm="b"'] });
    expect(answer?.status).toBe(401);
    expect(answer?.fields.map(({ name, value }) => `${name}: ${value}`)).toEqual(['www-authenticate: Bearer realm="a"', 'www-authenticate: ApiKey realm="b"']);
  });

  test('a browser is sent to the issuer instead, where there is one', () => {
    const invitation: Answer = { ...forged, status: 302 };
    expect(ask({}, { invitation }).answer).toBe(invitation);
    expect(ask({ require: { all: ['jwt', 'apiKey'] } }, { invitation, proved: { apiKey: gold } }).answer?.status).toBe(401);
  });

  test('a client that shows nothing is the anonymous consumer', () => {
    expect(ask({ anonymous: 'visitors' }, {}).x.identity?.consumer).toEqual({ name: 'visitors', groups: ['public'], plan: '' });
    expect(ask({ anonymous: 'visitors' }, null).x.identity?.consumer).toMatchObject({ name: 'visitors' });
    expect(ask({ anonymous: 'visitors', exempt }, {}, health).x.identity?.consumer).toBeNull();
  });

  test('an anonymous consumer that is not known lets nobody in', () => {
    expect(ask({ anonymous: 'gone' }, {}).answer).toMatchObject({ status: 401, pointer: '/anonymous' });
    expect(ask({ anonymous: 'gone' }, { proved: { jwt: gold } }).verdict).toBe('pass');
  });

  test('has nothing to do where nothing is looked for and nothing required', () => {
    expect(build({}, []).filter).toBeNull();
    expect(build({ require: { any: ['mesh'] } }, []).filter).not.toBeNull();
  });

  test('in shadow it says what it would have refused, and the anonymous consumer stays in shadow', () => {
    const { filter, context } = build({ anonymous: 'visitors' });
    const verdicts: string[] = [];
    if (filter === null) throw new Error('there is something to decide');
    const shadow = shadowed(filter, (_x, answer) => void verdicts.push(answer.reason.code));
    const x = makeExchange({ request: { method: 'GET', authority: 'a', target: '/' } }, context);
    x.identity = identityOf({ failure: forged });
    expect(shadow.request?.(x)).toBeNull();
    const y = makeExchange({ request: { method: 'GET', authority: 'a', target: '/' } }, context);
    y.identity = identityOf({});
    expect(shadow.request?.(y)).toBeNull();
    expect(y.identity.consumer).toBeNull();
    expect(y.shadowIdentity?.consumer).toMatchObject({ name: 'visitors' });
    expect(verdicts).toEqual(['jwt-invalid']);
  });
});

describe('what is required must be in effect', () => {
  test.each<[string, JsonObject, readonly string[], boolean, readonly string[]]>([
    ['a kind that is', { require: { any: ['jwt'] } }, ['jwt'], true, []],
    ['one that is not', { require: { any: ['jwt', 'apiKey'] } }, ['jwt'], true, ['/require/any/1']],
    ['none is', { require: { all: ['jwt', 'apiKey'] } }, [], false, ['/require/all/0', '/require/all/1']],
    ['mesh needs no other section', { require: { any: ['mesh'] } }, [], true, []],
    ['nothing required and nothing there, at one place', {}, [], true, ['']],
    ['nothing required and nothing there, for many', {}, [], false, []],
    ['nothing required, something there', {}, ['hmac'], true, []],
  ])('%s', (_title, section, inEffect, narrow, pointers) => {
    expect(checkAmong(section, { inEffect, narrow }).map(({ pointer }) => pointer)).toEqual(pointers);
  });
});
