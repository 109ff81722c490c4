import { seededRandom } from '@remora/core/random';
import { decodeIntrospectionAnswer, encodeIntrospectionQuestion, type IntrospectionAnswer } from '@remora/policy-kit/tokens/introspection-question';
import { ManualClock } from '@remora/testing/manual-clock';
import { describe, expect, test } from 'vitest';
import { ScriptedHelperClient } from '../issuer-keys/testdata/scripted-helper-client.ts';
import { createLog } from '../telemetry/log.ts';
import { Introspector } from './introspector.ts';

const endpoint = 'https://login.example/introspect';

class Rig {
  readonly client = new ScriptedHelperClient();
  readonly clock = new ManualClock();
  readonly lines: string[] = [];
  readonly introspector = new Introspector({ client: this.client, clock: this.clock, random: seededRandom(1), log: createLog({ level: 'debug', clock: this.clock, write: (line) => this.lines.push(line) }) });

  constructor() {
    this.introspector.useSecrets(new Map([['introspection', Buffer.from('p@ss:word\n')]]));
  }

  async ask(token = 'abc', at = endpoint): Promise<IntrospectionAnswer> {
    const question = { endpoint: at, allowPrivateAddresses: false, clientId: 'gate way', clientSecret: 'introspection', deadlineMs: 500, token };
    return decodeIntrospectionAnswer(await this.introspector.answer(encodeIntrospectionQuestion(question)));
  }
}

describe('introspection', () => {
  test('asks as RFC 7662 has it', async () => {
    const rig = new Rig();
    rig.client.json(endpoint, { active: true, sub: 'anna' });
    expect(await rig.ask('a&b=c')).toMatchObject({ claims: { active: true, sub: 'anna' } });
    const [asked] = rig.client.asked;
    expect(asked).toMatchObject({ method: 'POST', deadlineMs: 500, allowPrivateAddresses: false, body: 'token=a%26b%3Dc&token_type_hint=access_token' });
    expect(Buffer.from((asked?.headers?.['authorization'] ?? '').slice(6), 'base64').toString()).toBe('gate%20way:p%40ss%3Aword');
  });

  test.each([
    ['a page', '<html>', 200], ['a list', '[]', 200], ['no word about active', '{"sub":"anna"}', 200], ['active as text', '{"active":"true"}', 200],
    ['a member twice', '{"active":false,"active":true}', 200], ['401', '{}', 401], ['500', '{"active":true}', 500], ['204', '', 204],
  ])('%s is no answer', async (_what, body, status) => {
    const rig = new Rig();
    rig.client.json(endpoint, body, {}, status);
    expect((await rig.ask()).claims).toBeNull();
  });

  test('pauses an endpoint that fails, touches no other, and tries again one by one', async () => {
    const rig = new Rig();
    rig.client.fail(endpoint, 'timeout');
    rig.client.json('https://other.example/', { active: false });
    for (let i = 0; i < 20; i++) await rig.ask();
    expect(rig.client.take()).toHaveLength(5);
    expect(await rig.ask('abc', 'https://other.example/')).toMatchObject({ claims: { active: false } });
    rig.client.json(endpoint, { active: true });
    rig.clock.advance(1_000);
    rig.client.take();
    expect(await Promise.all([rig.ask(), rig.ask()])).toMatchObject([{ claims: { active: true } }, { claims: null }]);
    expect((await rig.ask()).claims).not.toBeNull();
  });

  test('another value of the secret ends the pause; the same one does not; another client of the same endpoint is not concerned', async () => {
    const rig = new Rig();
    rig.client.json(endpoint, '{}', {}, 401);
    for (let i = 0; i < 6; i++) await rig.ask();
    expect(rig.client.take()).toHaveLength(5);
    rig.introspector.useSecrets(new Map([['introspection', Buffer.from('p@ss:word\n')], ['other', Buffer.from('x')]]));
    await rig.ask();
    expect(rig.client.take()).toEqual([]);
    rig.client.json(endpoint, { active: true });
    const other = { endpoint, allowPrivateAddresses: false, clientId: 'other', clientSecret: 'other', deadlineMs: 500, token: 'abc' };
    expect(decodeIntrospectionAnswer(await rig.introspector.answer(encodeIntrospectionQuestion(other))).claims).not.toBeNull();
    rig.introspector.useSecrets(new Map([['introspection', Buffer.from('new')]]));
    expect((await rig.ask()).claims).not.toBeNull();
  });

  test('without its secret nobody is asked; neither secrets nor tokens are in the log', async () => {
    const rig = new Rig();
    rig.client.fail(endpoint, 'connect');
    await rig.ask('token-that-is-secret');
    rig.introspector.useSecrets(new Map());
    rig.client.take();
    expect(await rig.ask()).toMatchObject({ claims: null, secretMissing: true });
    expect(rig.client.take()).toEqual([]);
    expect(rig.lines.join('')).toContain('tokens cannot be introspected');
    expect(rig.lines.join('')).not.toMatch(/p@ss|p%40ss|token-that-is-secret/);
  });
});
