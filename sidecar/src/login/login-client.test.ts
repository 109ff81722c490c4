import { seededRandom } from '@remora/core/random';
import { decodeLoginAnswer, encodeLoginQuestion, type LoginAnswer, type LoginQuestion } from '@remora/policy-kit/tokens/login-question';
import { ManualClock } from '@remora/testing/manual-clock';
import { describe, expect, test } from 'vitest';
import type { HelperAnswer } from '../helpers/helper-client.ts';
import { ScriptedHelperClient } from '../issuer-keys/testdata/scripted-helper-client.ts';
import { createLog } from '../telemetry/log.ts';
import { LoginClient } from './login-client.ts';
import { statesMax } from './used-states.ts';

const issuer = 'https://login.example';
const discovery = `${issuer}/.well-known/openid-configuration`;
const tokenUrl = `${issuer}/token`;

class Rig {
  readonly client = new ScriptedHelperClient();
  readonly clock = new ManualClock();
  readonly lines: string[] = [];
  readonly logins = new LoginClient({ client: this.client, clock: this.clock, random: seededRandom(1), log: createLog({ level: 'debug', clock: this.clock, write: (line) => this.lines.push(line) }) });
  #codes = 0;

  constructor() {
    this.logins.useSecrets(new Map([['client', Buffer.from('p@ss:word\n')]]));
    this.discovers({});
    this.client.json(tokenUrl, { id_token: 'a.b.c', refresh_token: 'r', scope: 'openid', expires_in: 300 });
  }

  discovers(more: object): void {
    this.client.json(discovery, { issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: tokenUrl, end_session_endpoint: `${issuer}/end`, ...more });
  }

  async ask(more: Partial<LoginQuestion> = {}): Promise<LoginAnswer> {
    const question: LoginQuestion = {
      issuer, allowPrivateAddresses: false, clientId: 'shop web', clientSecret: 'client', deadlineMs: 500, want: 'code', grant: 'the-code', redirectUri: 'https://shop.example/cb', verifier: 'v',
      state: `state-${++this.#codes}`, ...more,
    };
    return decodeLoginAnswer(await this.logins.answer(encodeLoginQuestion(question)));
  }

  addresses(): Promise<LoginAnswer> {
    return this.ask({ want: 'addresses', grant: '', state: '' });
  }

  refresh(grant = 'r1'): Promise<LoginAnswer> {
    return this.ask({ want: 'refresh', grant, state: '' });
  }
}

const later = (): { readonly promise: Promise<HelperAnswer>; readonly resolve: (answer: HelperAnswer) => void } => Promise.withResolvers<HelperAnswer>();

describe('a code', () => {
  test('is exchanged as RFC 6749 and RFC 7636 have it', async () => {
    const rig = new Rig();
    expect(await rig.ask()).toEqual({ outcome: 'tokens', idToken: 'a.b.c', refreshToken: 'r', scope: 'openid', expiresInSeconds: 300 });
    const asked = rig.client.asked.at(-1);
    expect(asked).toMatchObject({ method: 'POST', deadlineMs: 500, bodyBytesMax: 65_536, allowPrivateAddresses: false, body: 'grant_type=authorization_code&code=the-code&redirect_uri=https%3A%2F%2Fshop.example%2Fcb&code_verifier=v' });
    expect(asked?.takesRedirects).toBeUndefined();
    expect(Buffer.from((asked?.headers?.['authorization'] ?? '').slice(6), 'base64').toString()).toBe('shop%20web:p%40ss%3Aword');
  });

  test('its state is taken once, whichever data thread asks, at once or later', async () => {
    const rig = new Rig();
    const answers = await Promise.all([1, 2, 3].map(() => rig.ask({ state: 'same' })));
    expect(answers.map(({ outcome }) => outcome)).toEqual(['tokens', 'replayed', 'replayed']);
    rig.clock.advance(600_000);
    expect((await rig.ask({ state: 'same' })).outcome).toBe('replayed');
    expect(rig.client.take().filter((url) => url === tokenUrl)).toHaveLength(1);
  });

  test('a state is not used up while the Secret is missing', async () => {
    const rig = new Rig();
    rig.logins.useSecrets(new Map());
    expect((await rig.ask({ state: 'same' })).outcome).toBe('secret');
    expect(rig.client.take()).toEqual([]);
    rig.logins.useSecrets(new Map([['client', Buffer.from('x')]]));
    expect((await rig.ask({ state: 'same' })).outcome).toBe('tokens');
  });

  test('the oldest states are forgotten first, beyond the bound', async () => {
    const rig = new Rig();
    rig.client.fail(tokenUrl, 'timeout');
    await rig.ask({ state: 'first' });
    for (let i = 0; i < statesMax; i++) await rig.ask({ state: `other-${i}` });
    expect((await rig.ask({ state: 'other-0' })).outcome).toBe('replayed');
    expect((await rig.ask({ state: 'first' })).outcome).toBe('unavailable');
  });
});

describe('an issuer', () => {
  test.each<[string, (rig: Rig) => void, LoginAnswer['outcome'], RegExp]>([
    ['hangs', (rig) => rig.client.fail(tokenUrl, 'timeout'), 'unavailable', /timeout/],
    ['redirects', (rig) => rig.client.fail(tokenUrl, 'redirect'), 'unavailable', /redirect/],
    ['sends 50 MB', (rig) => rig.client.fail(tokenUrl, 'too-large'), 'unavailable', /too-large/],
    ['is at an address that may not be connected to', (rig) => rig.client.fail(tokenUrl, 'address'), 'unavailable', /address/],
    ['sends a page', (rig) => rig.client.json(tokenUrl, '<html>'), 'unavailable', /no JSON/],
    ['sends a list', (rig) => rig.client.json(tokenUrl, '[]'), 'unavailable', /no JSON/],
    ['names a member twice', (rig) => rig.client.json(tokenUrl, '{"id_token":"a","id_token":"b"}'), 'unavailable', /twice/],
    ['answers 500', (rig) => rig.client.json(tokenUrl, '{}', {}, 500), 'unavailable', /500/],
    ['answers 201', (rig) => rig.client.json(tokenUrl, '{"id_token":"a.b.c"}', {}, 201), 'unavailable', /201/],
    ['does not know the client', (rig) => rig.client.json(tokenUrl, '{"error":"invalid_client"}', {}, 400), 'unavailable', /does not know the client/],
    ['does not know its secret', (rig) => rig.client.json(tokenUrl, '{}', {}, 401), 'unavailable', /does not know the client/],
    ['does not take the code', (rig) => rig.client.json(tokenUrl, '{"error":"invalid_grant"}', {}, 400), 'refused', /invalid_grant/],
    ['does not take the request', (rig) => rig.client.json(tokenUrl, '{"error":"<script>"}', {}, 400), 'refused', /^it answered 400$/],
    ['gives a token that is too long', (rig) => rig.client.json(tokenUrl, { id_token: 'x'.repeat(8_193) }), 'unusable', /8192/],
    ['is discovered as another one', (rig) => rig.discovers({ issuer: 'https://evil.example' }), 'unavailable', /other-issuer/],
    ['names no token endpoint', (rig) => rig.discovers({ token_endpoint: 7 }), 'unavailable', /token_endpoint/],
    ['names one without TLS', (rig) => rig.discovers({ token_endpoint: 'http://login.example/token' }), 'unavailable', /may be used/],
    ['names one that is no web address', (rig) => rig.discovers({ authorization_endpoint: 'javascript:alert(1)' }), 'unavailable', /may be used/],
    ['names one with a password', (rig) => rig.discovers({ authorization_endpoint: 'https://a:b@login.example/auth' }), 'unavailable', /may be used/],
    ['redirects its discovery', (rig) => rig.client.fail(discovery, 'redirect'), 'unavailable', /redirect/],
  ])('that %s', async (_what, arrange, outcome, problem) => {
    const rig = new Rig();
    arrange(rig);
    const answer = await rig.ask();
    expect(answer.outcome).toBe(outcome);
    expect('problem' in answer ? answer.problem : '').toMatch(problem);
    rig.discovers({});
    rig.client.json(tokenUrl, { id_token: 'a.b.c' });
    expect((await rig.ask()).outcome).toBe('tokens');
  });

  test('that fails is given a pause, which questions for known addresses do not end; browsers cannot cause one', async () => {
    const rig = new Rig();
    rig.client.json(tokenUrl, '{"error":"invalid_request"}', {}, 400);
    for (let i = 0; i < 20; i++) expect((await rig.ask()).outcome).toBe('refused');
    rig.client.fail(tokenUrl, 'timeout');
    rig.client.take();
    for (let i = 0; i < 20; i++) {
      await rig.ask();
      expect((await rig.addresses()).outcome).toBe('addresses');
    }
    expect(rig.client.take()).toHaveLength(5);
    rig.clock.advance(1_000);
    rig.client.json(tokenUrl, { id_token: 'a.b.c' });
    expect((await rig.ask()).outcome).toBe('tokens');
  });

  test('another value of the Secret ends a pause, and another client of the same issuer is not concerned', async () => {
    const rig = new Rig();
    rig.client.json(tokenUrl, '{}', {}, 401);
    for (let i = 0; i < 6; i++) await rig.ask();
    rig.client.json(tokenUrl, { id_token: 'a.b.c' });
    expect((await rig.ask()).outcome).toBe('unavailable');
    expect((await rig.ask({ clientId: 'other' })).outcome).toBe('tokens');
    rig.logins.useSecrets(new Map([['client', Buffer.from('new')]]));
    expect((await rig.ask()).outcome).toBe('tokens');
  });

  test('is asked for its addresses once at a time; those that are known are used on while it is away, and nobody waits for newer ones', async () => {
    const rig = new Rig();
    expect((await Promise.all([rig.addresses(), rig.addresses(), rig.ask()])).map(({ outcome }) => outcome)).toEqual(['addresses', 'addresses', 'tokens']);
    expect(rig.client.take().filter((url) => url === discovery)).toHaveLength(1);
    rig.clock.advance(600_000);
    const hanging = later();
    rig.client.answers.set(discovery, hanging.promise);
    expect((await rig.addresses()).outcome).toBe('addresses');
    expect((await rig.ask()).outcome).toBe('tokens');
    hanging.resolve({ ok: false, code: 'timeout', message: '' });
    expect((await rig.addresses()).outcome).toBe('addresses');
  });

  test('gets 128 questions of one client at once, and no more', async () => {
    const rig = new Rig();
    await rig.addresses();
    const hanging = later();
    rig.client.answers.set(tokenUrl, hanging.promise);
    const asked = Array.from({ length: 200 }, () => rig.ask());
    hanging.resolve({ ok: true, status: 200, headers: {}, body: Buffer.from('{"id_token":"a.b.c"}') });
    const outcomes = (await Promise.all(asked)).map(({ outcome }) => outcome);
    expect([outcomes.filter((one) => one === 'tokens').length, outcomes.filter((one) => one === 'unavailable').length]).toEqual([128, 72]);
    expect((await rig.ask()).outcome).toBe('tokens');
  });

  test('is told of in the log once for each outage, without codes, tokens and secrets', async () => {
    const rig = new Rig();
    rig.client.fail(tokenUrl, 'connect');
    for (let i = 0; i < 3; i++) await rig.ask({ grant: 'code-that-is-secret', verifier: 'verifier-that-is-secret' });
    rig.client.json(tokenUrl, { id_token: 'a.b.c', refresh_token: 'token-that-is-secret' });
    await rig.ask({ grant: 'code-that-is-secret' });
    expect(rig.lines).toHaveLength(2);
    expect(rig.lines.join('')).toMatch(/nobody can log in.*logins work again/s);
    expect(rig.lines.join('')).not.toMatch(/is-secret|p@ss|p%40ss/);
  });
});

describe('a refresh', () => {
  test('of one token is asked for once, also by requests that come a little later', async () => {
    const rig = new Rig();
    await rig.addresses();
    rig.client.take();
    const answers = await Promise.all([rig.refresh(), rig.refresh(), rig.refresh('r2')]);
    expect(answers.map(({ outcome }) => outcome)).toEqual(['tokens', 'tokens', 'tokens']);
    expect(rig.client.take()).toHaveLength(2);
    rig.clock.advance(29_000);
    await rig.refresh();
    expect(rig.client.take()).toHaveLength(0);
    rig.clock.advance(1_000);
    await rig.refresh();
    expect(rig.client.take()).toHaveLength(1);
  });

  test('that is refused is refused for all; one without an answer is tried again', async () => {
    const rig = new Rig();
    rig.client.json(tokenUrl, '{"error":"invalid_grant"}', {}, 400);
    expect([(await rig.refresh()).outcome, (await rig.refresh()).outcome]).toEqual(['refused', 'refused']);
    rig.client.fail(tokenUrl, 'timeout');
    expect((await rig.refresh('r2')).outcome).toBe('unavailable');
    rig.client.json(tokenUrl, { refresh_token: 'r3' });
    expect(await rig.refresh('r2')).toMatchObject({ outcome: 'tokens', refreshToken: 'r3', idToken: '', expiresInSeconds: 0 });
  });
});
