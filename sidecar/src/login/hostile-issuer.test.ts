import { systemClock } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { decodeIntrospectionAnswer, encodeIntrospectionQuestion, type IntrospectionAnswer } from '@remora/policy-kit/tokens/introspection-question';
import { decodeLoginAnswer, encodeLoginQuestion, type LoginAnswer } from '@remora/policy-kit/tokens/login-question';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UndiciHelperClient } from '../helpers/undici-helper-client.ts';
import { Introspector } from '../introspection/introspector.ts';
import { createLog } from '../telemetry/log.ts';
import { LoginClient } from './login-client.ts';
import { HostileIssuer, misbehaviours } from './testdata/hostile-issuer.ts';

/** Over real connections: each ends in a refusal that says what happened, in time, with little of it read, and the next question is answered. */
let issuer: HostileIssuer;
let client: UndiciHelperClient;
let states = 0;
/** Short only where waiting for it is what is tested: a busy machine is slow, not wrong. */
const deadlineFor = (problem: RegExp): number => (problem.test('timeout') ? 300 : patientMs);
const patientMs = 10_000;
const log = createLog({ level: 'error', clock: systemClock, write: () => {} });
const secrets = new Map([['client', Buffer.from('password')]]);

beforeEach(async () => {
  issuer = await HostileIssuer.start();
  client = new UndiciHelperClient();
});
afterEach(async () => {
  await client.close();
  await issuer.stop();
});

describe('an issuer at which people log in', () => {
  const ask = async (logins: LoginClient, deadlineMs = patientMs, more: object = {}): Promise<LoginAnswer> => decodeLoginAnswer(await logins.answer(encodeLoginQuestion({
    issuer: issuer.origin, allowPrivateAddresses: true, clientId: 'shop', clientSecret: 'client', deadlineMs, want: 'code', grant: 'code', redirectUri: 'https://shop.example/cb', verifier: 'v', state: `${++states}`, ...more,
  })));

  test.each(misbehaviours)('that %s', async (_what, misbehave, problem) => {
    issuer.answers.set('/token', { id_token: 'a.b.c', expires_in: 60 });
    const logins = new LoginClient({ client, clock: systemClock, random: seededRandom(1), log });
    logins.useSecrets(secrets);
    issuer.misbehave = misbehave;
    const answer = await ask(logins, deadlineFor(problem));
    expect(answer.outcome).toBe('unavailable');
    expect('problem' in answer ? answer.problem : '').toMatch(problem);
    expect(issuer.asked).not.toContain('/elsewhere');
    issuer.misbehave = null;
    expect((await ask(logins)).outcome).toBe('tokens');
  });

  test('that is at a private address, where such are not allowed: nobody is connected to', async () => {
    const logins = new LoginClient({ client, clock: systemClock, random: seededRandom(1), log });
    logins.useSecrets(secrets);
    expect(await ask(logins, patientMs, { allowPrivateAddresses: false })).toMatchObject({ outcome: 'unavailable' });
    expect(issuer.asked).toEqual([]);
  });
});

describe('an endpoint that introspects', () => {
  const ask = async (introspector: Introspector, deadlineMs = patientMs): Promise<IntrospectionAnswer> => decodeIntrospectionAnswer(await introspector.answer(encodeIntrospectionQuestion({
    endpoint: `${issuer.origin}/introspect`, allowPrivateAddresses: true, clientId: 'gateway', clientSecret: 'client', deadlineMs, token: 'abc',
  })));

  test.each(misbehaviours)('that %s', async (_what, misbehave, problem) => {
    issuer.at = '/introspect';
    issuer.answers.set('/introspect', { active: true });
    const introspector = new Introspector({ client, clock: systemClock, random: seededRandom(1), log });
    introspector.useSecrets(secrets);
    issuer.misbehave = misbehave;
    const answer = await ask(introspector, deadlineFor(problem));
    expect(answer.claims).toBeNull();
    expect('problem' in answer ? answer.problem : '').toMatch(problem);
    expect(issuer.asked).not.toContain('/elsewhere');
    issuer.misbehave = null;
    expect((await ask(introspector)).claims).toEqual({ active: true });
  });
});
