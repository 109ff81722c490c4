import { generateKeyPairSync, sign } from 'node:crypto';
import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { Answer, Exchange } from '@remora/policy-kit/exchange';
import { FactBooks } from '@remora/policy-kit/facts';
import { encodeKeySet } from '@remora/policy-kit/tokens/issuer-keys';
import { decodeLoginQuestion, encodeLoginAnswer, type LoginAnswer, type LoginQuestion } from '@remora/policy-kit/tokens/login-question';
import type { RequestIdentity } from '@remora/policy-kit/request-identity';
import { driveLater } from '@remora/testing/drive-later';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext, type TestContextOptions } from '@remora/testing/filter-context';
import { oidcLoginAuthoring } from '../compile.ts';
import { oidcLoginRuntime } from '../filter.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const issuer = 'https://login.example';
const sourceName = JSON.stringify([issuer, '', false]);

/** A browser, a filter, and an issuer that answers at once. */
export class LoginRig {
  readonly facts = new FactBooks();
  readonly context: TestFilterContext;
  readonly filter: ReturnType<NonNullable<typeof oidcLoginRuntime.edge>> & object;
  answer: (question: LoginQuestion) => LoginAnswer;
  readonly asked: LoginQuestion[] = [];
  readonly jar = new Map<string, string>();
  nonce = '';
  claims: JsonObject = {};

  constructor(section: JsonObject = {}, options: TestContextOptions = {}) {
    this.context = new TestFilterContext('oidcLogin', { factBooks: this.facts, ...options });
    this.facts.apply({ kind: 'secret', full: true, facts: new Map([['sessions', Buffer.from('the first session key')], ['later', Buffer.from('the second session key')], ['short', Buffer.from('fifteen bytes..')]]) });
    this.facts.apply({ kind: 'jwks', full: true, facts: new Map([[sourceName, encodeKeySet([{ ...publicKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'a' } as unknown as Json])]]) });
    this.filter = build(section, this.context);
    this.answer = ({ want }) => (want === 'addresses' ? { outcome: 'addresses', authorization: `${issuer}/auth?x=1`, endSession: `${issuer}/end`, secretMissing: false } : this.tokens());
  }

  get nowSeconds(): number {
    return Math.floor(this.context.clock.wallMs() / 1000);
  }

  tokens(more: Partial<Extract<LoginAnswer, { outcome: 'tokens' }>> = {}): LoginAnswer {
    const claims = { iss: issuer, aud: 'shop', sub: 'anna', nonce: this.nonce, iat: this.nowSeconds, exp: this.nowSeconds + 300, email: 'anna@shop.example', secret: 'not kept', ...this.claims };
    return { outcome: 'tokens', idToken: signed(claims), refreshToken: 'refresh-1', scope: 'openid email', expiresInSeconds: 300, ...more };
  }

  async go(target: string, { headers = [], method = 'GET', accept = 'text/html', filter = this.filter }: { headers?: [string, string][]; method?: string; accept?: string; filter?: LoginRig['filter'] } = {}): Promise<{ verdict: Answer | null; identity: RequestIdentity; lines: readonly string[]; location: URL | null; cookies: readonly string[]; x: Exchange }> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const x = makeExchange({ request: { method, authority: 'shop.example', target, headers: [['accept', accept], ...(cookie === '' ? [] : [['cookie', cookie] as [string, string]]), ...headers] } }, this.context);
    const driven = driveLater(filter, x);
    const timer = setInterval(() => this.reply(), 0);
    const verdict = await driven;
    clearInterval(timer);
    if (x.identity === null) throw new Error('it did not look');
    const answer = verdict ?? x.identity.invitation;
    const slot = x.slots.find((one) => typeof one === 'string');
    const cookies = [...(answer?.fields ?? []).filter(({ name }) => name === 'set-cookie').map(({ value }) => value), ...(typeof slot === 'string' ? [slot] : [])];
    for (const line of cookies) this.keep(line);
    const to = answer?.fields.find(({ name }) => name === 'location')?.value;
    const location = to === undefined ? null : new URL(to, 'https://shop.example');
    this.nonce = location?.searchParams.get('nonce') ?? this.nonce;
    return { verdict, identity: x.identity, lines: headLines(x.head), location, cookies, x };
  }

  keep(line: string): void {
    const [pair = ''] = line.split(';');
    const [name = '', value = ''] = pair.split('=');
    if (line.includes('Max-Age=0')) this.jar.delete(name);
    else this.jar.set(name, value);
  }

  reply(): void {
    for (const { topic, body, answered } of this.context.asked.splice(0)) {
      if (topic !== 'oidcLogin') {
        answered(Uint8Array.of(0));
        continue;
      }
      const question = decodeLoginQuestion(body);
      this.asked.push(question);
      answered(encodeLoginAnswer(this.answer(question)));
    }
  }

  async login(target = '/orders?page=2'): Promise<Awaited<ReturnType<LoginRig['go']>>> {
    const begun = await this.go(target);
    return this.go(`/.remora/callback?code=abc&state=${begun.location?.searchParams.get('state') ?? ''}`);
  }
}

export function build(section: JsonObject, context: TestFilterContext): LoginRig['filter'] {
  const whole = { issuer, clientId: 'shop', clientSecret: { secret: 'client' }, sessionKey: { secret: 'sessions' }, ...section };
  const filter = oidcLoginRuntime.edge?.(oidcLoginRuntime.decode(oidcLoginAuthoring.compile(effectiveSection(oidcLoginAuthoring, whole)).body), context);
  if (!filter) throw new Error('the section builds a filter');
  return filter;
}

function signed(claims: JsonObject): string {
  const text = [{ alg: 'ES256', kid: 'a' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
