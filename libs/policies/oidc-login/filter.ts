import { createHash, randomBytes } from 'node:crypto';
import type { Json } from '@remora/core/canonical-json';
import type { Reason } from '@remora/errors/reason';
import type { Field, Head } from '@remora/http/head';
import { headerId, makeField } from '@remora/http/header-ids';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import { cookieValueAt } from '@remora/policy-kit/cookie-values';
import { WAIT, type Answer, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import { knownHeader } from '@remora/policy-kit/known-header';
import { queryValueAt } from '@remora/policy-kit/query-values';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { readCompactToken, type CompactToken } from '@remora/policy-kit/tokens/compact-token';
import { IssuerKeys } from '@remora/policy-kit/tokens/issuer-keys';
import { decodeLoginAnswer, encodeLoginQuestion, type LoginAnswer, type LoginQuestion } from '@remora/policy-kit/tokens/login-question';
import { TokenCache } from '@remora/policy-kit/tokens/token-cache';
import { createCredentialRemover } from '@remora/policy-kit/credential-places';
import type { VerificationKey } from '@remora/policy-kit/tokens/verification-key';
import { CookieSeal } from './cookie-seal.ts';
import { idTokenProblem, sameText } from './id-token.ts';
import { oidcCrossSite, oidcDenied, oidcOverload, oidcRedirect, oidcSessionSize, oidcState, oidcToken, oidcUnavailable } from './reasons.ts';
import { returnTarget } from './return-target.ts';
import { readLogin, readSession, type Login, type Session } from './session.ts';
import { oidcLoginWire, type OidcLoginSettings } from './wire.ts';

/** Knows users of browsers by their session, and makes one with an OpenID provider. What it finds `authentication` decides over; only the callback and the logout are answered here. */
export const oidcLoginRuntime: RuntimeKind<OidcLoginSettings> = {
  ...oidcLoginWire,
  side: 'provider',
  edge: (settings, context) => new OidcLoginFilter(settings, context),
};

interface OpenedSession {
  readonly text: string;
  used: boolean;
  readonly session: Session;
  /** Of the Secrets, when it was opened. */
  readonly version: number;
}

type Then = (x: Exchange, token: number, answer: LoginAnswer) => void;

class OidcLoginFilter implements EdgeFilter {
  readonly kind = 'oidcLogin';
  readonly #settings: OidcLoginSettings;
  readonly #context: FilterContext;
  readonly #sessions: CookieSeal;
  readonly #logins: CookieSeal;
  readonly #loginCookie: string;
  readonly #remove: (head: Head) => void;
  readonly #opened = new TokenCache<OpenedSession>({ entriesMax: 4096, bytesMax: 8 * 1024 * 1024 });
  readonly #usedStates = new Map<string, number>();
  readonly #keys: IssuerKeys;
  readonly #directory: ConsumerDirectory;
  readonly #slot: number;
  readonly #asked = new Map<string, { readonly x: Exchange; readonly token: number; readonly resume: Then }[]>();
  #waiting = 0;
  #addresses: { readonly authorization: string; readonly endSession: string; readonly until: number } | null = null;
  readonly #passed: () => void;

  constructor(settings: OidcLoginSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#loginCookie = `${settings.cookieName}-login`;
    const owner = context.scope.slice(0, context.scope.lastIndexOf('/') + 1);
    const seal = (purpose: string): CookieSeal => new CookieSeal({
      secrets: context.facts('secret'), names: settings.formerSessionKey === '' ? [settings.sessionKey] : [settings.sessionKey, settings.formerSessionKey],
      purpose: JSON.stringify([purpose, owner, settings.issuer, settings.clientId]),
    });
    this.#sessions = seal('session');
    this.#logins = seal('login');
    this.#remove = createCredentialRemover([settings.cookieName, this.#loginCookie].map((name) => ({ kind: 'cookie', name })));
    this.#keys = IssuerKeys.over(context.facts('jwks'));
    this.#directory = consumerDirectory(context.facts('consumers'));
    this.#slot = context.slot();
    this.#passed = context.counter('oidcLogin_passed');
  }

  request(x: Exchange): Verdict {
    const identity = (x.identity ??= new RequestIdentity());
    identity.looks('oidcLogin');
    const path = x.askedPath ?? x.head.path;
    if (!this.#context.shadow) {
      if (path === this.#settings.callbackPath) return this.#callback(x);
      if (path === this.#settings.logoutPath) return this.#logout(x);
    }
    const text = cookieValueAt(x.head, this.#settings.cookieName, 0);
    const session = text === null ? null : this.#open(text, x.startedWallMs);
    this.#remove(x.head);
    if (session === null) return this.#invite(x);
    if (x.startedWallMs < session.refreshAt) return this.#find(x, session);
    return this.#refresh(x, session);
  }

  /** A refreshed session travels with whatever the response is. */
  response(x: Exchange, head: Head): void {
    const cookie = x.slots[this.#slot];
    if (typeof cookie === 'string') head.append(setCookieId, cookie);
  }

  // --- sessions ---------------------------------------------------------------------------------------------------

  #open(text: string, nowMs: number): Session | null {
    const { version } = this.#sessions;
    const known = this.#opened.get(text);
    if (known !== undefined && known.version === version) return nowMs < known.session.end ? known.session : null;
    const plain = this.#sessions.open(text);
    const session = plain === null ? null : readSession(plain);
    if (session === null) {
      this.#context.count('oidcLogin_rejected');
      return null;
    }
    this.#opened.put({ text, used: false, session, version });
    return nowMs < session.end ? session : null;
  }

  #find(x: Exchange, { sub, claims, scopes }: Session): null {
    this.#passed();
    (x.identity ??= new RequestIdentity()).finds('oidcLogin', {
      consumer: this.#directory.byIdentity(this.#settings.issuer, claims), subject: sub, issuer: this.#settings.issuer, claims, scopes,
    });
    return null;
  }

  #refresh(x: Exchange, session: Session): Verdict {
    const stillHolds = x.startedWallMs < session.tokensEnd;
    if (session.refreshToken === '') return stillHolds ? this.#find(x, session) : this.#invite(x);
    if (this.#context.shadow) return stillHolds ? this.#find(x, session) : null;
    const key = createHash('sha256').update(session.refreshToken).digest('base64');
    const asks = this.#ask(x, `refresh ${key}`, { want: 'refresh', grant: session.refreshToken }, (later, token, answer) => this.#refreshed(later, token, session, answer));
    if (asks) return WAIT;
    return stillHolds ? this.#find(x, session) : this.#unavailable(x, oidcOverload, 'too many questions are without an answer');
  }

  #refreshed(x: Exchange, token: number, session: Session, answer: LoginAnswer): void {
    const nowMs = this.#context.clock.wallMs();
    if (answer.outcome === 'tokens') {
      const renewed = (claims: Readonly<Record<string, Json>> | null): void => {
        const next = this.#sessionOf(claims ?? session.claims, { ...answer, refreshToken: answer.refreshToken || session.refreshToken, scope: answer.scope || session.scopes.join(' ') }, session.end, nowMs);
        const cookie = this.#sessionCookie(next, nowMs);
        if (cookie !== null) x.slots[this.#slot] = cookie;
        this.#context.count('oidcLogin_refreshed');
        this.#find(x, next);
        x.proceed(token);
      };
      if (answer.idToken === '') return renewed(null);
      return this.#verify(x, token, answer.idToken, { nonce: null, subject: session.sub }, renewed, () => this.#resume(x, token, this.#invite(x)));
    }
    if (answer.outcome !== 'refused' && nowMs < session.tokensEnd) this.#resume(x, token, this.#find(x, session));
    else this.#resume(x, token, answer.outcome === 'refused' ? this.#invite(x) : this.#unavailable(x, oidcUnavailable, 'problem' in answer ? answer.problem : ''));
  }

  #sessionOf(claims: Readonly<Record<string, Json>>, { refreshToken, scope, expiresInSeconds }: { readonly refreshToken: string; readonly scope: string; readonly expiresInSeconds: number }, end: number, nowMs: number): Session {
    const kept = Object.create(null) as Record<string, Json>;
    for (const name of ['iss', 'sub', ...this.#settings.claims]) {
      const value = claims[name];
      if (value !== undefined) kept[name] = value;
    }
    const tokensEnd = Math.min(end, nowMs + (expiresInSeconds || tokensSecondsUntold) * 1000);
    const { sub } = claims;
    return { sub: typeof sub === 'string' ? sub : '', claims: kept, scopes: scope.split(' ').filter((one) => one !== ''), refreshToken, refreshAt: tokensEnd - Math.min(30_000, (tokensEnd - nowMs) / 4), tokensEnd, end };
  }

  /** Null: it cannot be sealed, or is too large. */
  #sessionCookie(session: Session, nowMs: number): string | null {
    const text = this.#sessions.seal(JSON.stringify(session));
    if (text === null || text.length > cookieTextMax) return null;
    return this.#cookie(this.#settings.cookieName, text, Math.max(0, Math.floor((session.end - nowMs) / 1000)));
  }

  #cookie(name: string, text: string, seconds: number): string {
    const { cookieDomain } = this.#settings;
    return `${name}=${text}; Path=/; Max-Age=${seconds}; HttpOnly; Secure; SameSite=Lax${cookieDomain === '' ? '' : `; Domain=${cookieDomain}`}`;
  }

  // --- logins -----------------------------------------------------------------------------------------------------

  /** What a client gets that showed nothing else: a browser goes to the issuer. */
  #invite(x: Exchange): Verdict {
    const identity = (x.identity ??= new RequestIdentity());
    if (this.#context.shadow || this.#settings.neverRedirect || identity.proved !== 0 || identity.failure !== null || !isBrowser(x.head)) return null;
    const known = this.#addresses;
    if (known !== null && x.startedWallMs < known.until) return this.#inviteTo(x, known.authorization);
    const asks = this.#ask(x, 'addresses', { want: 'addresses' }, (later, token, answer) => {
      if (answer.outcome === 'addresses') {
        this.#learn(later, answer);
        this.#inviteTo(later, answer.authorization);
      } else this.#unavailable(later, oidcUnavailable, 'problem' in answer ? answer.problem : '');
      later.proceed(token);
    });
    return asks ? WAIT : this.#unavailable(x, oidcOverload, 'too many questions are without an answer');
  }

  #learn(x: Exchange, { authorization, endSession }: { readonly authorization: string; readonly endSession: string }): void {
    this.#addresses = { authorization, endSession, until: Math.max(x.startedWallMs, this.#context.clock.wallMs()) + addressesKeptMs };
  }

  #inviteTo(x: Exchange, authorization: string): null {
    const { clientId, scopes } = this.#settings;
    const [state, nonce, verifier] = [random(), random(), random()];
    const { path, query } = x.head;
    const login: Login = { state, nonce, verifier, target: returnTarget(`${x.askedPath ?? path}${query === '' ? '' : `?${query}`}`), end: this.#context.clock.wallMs() + loginMs };
    const text = this.#logins.seal(JSON.stringify(login));
    if (text === null) return this.#unavailable(x, oidcUnavailable, `the secret ${this.#settings.sessionKey} has not come yet, or has less than 16 bytes`);
    const parameters = {
      response_type: 'code', client_id: clientId, redirect_uri: this.#ownAddress(x, this.#settings.callbackPath), scope: scopes.join(' '), state, nonce,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    };
    this.#context.count('oidcLogin_invited');
    (x.identity ??= new RequestIdentity()).invitation = this.#redirect(withParameters(authorization, parameters), [this.#cookie(this.#loginCookie, text, loginMs / 1000)]);
    return null;
  }

  #callback(x: Exchange): Verdict {
    const { query } = x.head;
    const text = cookieValueAt(x.head, this.#loginCookie, 0);
    const plain = text === null ? null : this.#logins.open(text);
    const login = plain === null ? null : readLogin(plain);
    const nowMs = this.#context.clock.wallMs();
    if (x.head.method !== 'GET' || login === null || nowMs >= login.end) return this.#refuse(oidcState, 'no cookie of a login under way');
    if (queryValueAt(query, 'state', 1) !== null || !sameText(queryValueAt(query, 'state', 0) ?? '', login.state)) return this.#refuse(oidcState, 'state is of another login');
    if (!this.#useState(login, nowMs)) return this.#refuse(oidcState, 'state was used already');
    const error = queryValueAt(query, 'error', 0);
    if (error !== null) return this.#refuse(oidcDenied, `the issuer says ${JSON.stringify(error.slice(0, 64))}`);
    const { issuer } = this.#settings;
    // RFC 9207: an answer that says whose it is must be of this issuer.
    if ((queryValueAt(query, 'iss', 0) ?? issuer) !== issuer) return this.#refuse(oidcState, 'iss is another issuer');
    const code = queryValueAt(query, 'code', 0);
    if (code === null || code === '' || code.length > 4096) return this.#refuse(oidcState, 'no code');
    const question = { want: 'code', grant: code, redirectUri: this.#ownAddress(x, this.#settings.callbackPath), verifier: login.verifier } as const;
    const asks = this.#ask(x, `code ${login.state}`, question, (later, token, answer) => this.#exchanged(later, token, login, answer));
    return asks ? WAIT : this.#refuse(oidcOverload, 'too many questions are without an answer');
  }

  /** In this thread; the issuer takes a code once only in any case. */
  #useState({ state, end }: Login, nowMs: number): boolean {
    for (const [used, until] of this.#usedStates) {
      if (nowMs < until && this.#usedStates.size < statesMax) break;
      this.#usedStates.delete(used);
    }
    if (this.#usedStates.has(state)) return false;
    this.#usedStates.set(state, end);
    return true;
  }

  #exchanged(x: Exchange, token: number, login: Login, answer: LoginAnswer): void {
    if (answer.outcome !== 'tokens') {
      return x.answer(token, answer.outcome === 'refused' ? this.#refuse(oidcState, 'the issuer does not take the code') : this.#refuse(oidcUnavailable, 'problem' in answer ? answer.problem : ''));
    }
    this.#verify(x, token, answer.idToken, { nonce: login.nonce, subject: '' }, (claims) => {
      const nowMs = this.#context.clock.wallMs();
      const cookie = this.#sessionCookie(this.#sessionOf(claims, answer, nowMs + this.#settings.sessionSeconds * 1000, nowMs), nowMs);
      if (cookie === null) return x.answer(token, this.#refuse(oidcSessionSize, 'fewer claims, or no scope offline_access, make it smaller', '/claims'));
      this.#context.count('oidcLogin_completed');
      x.answer(token, this.#redirect(returnTarget(login.target), [cookie, this.#cookie(this.#loginCookie, '', 0)]));
    }, (problem) => x.answer(token, this.#refuse(oidcToken, problem)));
  }

  #logout(x: Exchange): Verdict {
    if (x.head.method !== 'GET' && x.head.method !== 'POST') return this.#refuse(oidcState, 'a logout is GET or POST');
    const site = x.head.valueAt(fetchSiteId, 0);
    if (site === 'cross-site' || site === 'same-site') return this.#refuse(oidcCrossSite, `sec-fetch-site is ${site}`);
    const known = this.#addresses;
    if (known !== null && x.startedWallMs < known.until) return this.#loggedOut(x, known.endSession);
    const asks = this.#ask(x, 'addresses', { want: 'addresses' }, (later, token, answer) => {
      if (answer.outcome === 'addresses') this.#learn(later, answer);
      later.answer(token, this.#loggedOut(later, answer.outcome === 'addresses' ? answer.endSession : ''));
    });
    return asks ? WAIT : this.#loggedOut(x, '');
  }

  /** The own session ends in any case. */
  #loggedOut(x: Exchange, endSession: string): Answer {
    this.#context.count('oidcLogin_loggedOut');
    const to = endSession === '' ? '/' : withParameters(endSession, { client_id: this.#settings.clientId, post_logout_redirect_uri: this.#ownAddress(x, '/') });
    return this.#redirect(to, [this.#cookie(this.#settings.cookieName, '', 0), this.#cookie(this.#loginCookie, '', 0)]);
  }

  // --- tokens of the issuer ---------------------------------------------------------------------------------------

  #verify(x: Exchange, token: number, text: string, whose: { readonly nonce: string | null; readonly subject: string }, good: (claims: Readonly<Record<string, Json>>) => void, bad: (problem: string) => void): void {
    const { issuer, clientId, source } = this.#settings;
    const read = readCompactToken(text);
    if ('problem' in read) return bad(`the ID token is ${read.problem}`);
    const problem = idTokenProblem(read, { issuer, clientId, ...whose, nowMs: this.#context.clock.wallMs() });
    if (problem !== null) return bad(problem);
    const check = (candidates: readonly VerificationKey[]): void => tryKeys(read, candidates, 0, (valid) => {
      if (x.token !== token) return;
      if (valid) good(read.claims);
      else bad('none of the keys of the issuer has made the signature');
    });
    const candidates = this.#candidates(read);
    if (candidates.length > 0) return check(candidates);
    const sent = this.#context.questions.ask('jwt.keys', new TextEncoder().encode(source.name), () => {
      if (x.token === token) check(this.#candidates(read));
    });
    if (!sent) bad('the keys of the issuer cannot be asked for');
  }

  #candidates({ algorithm, keyId }: CompactToken): readonly VerificationKey[] {
    return this.#keys.of(this.#settings.source.name)?.candidates(algorithm, keyId) ?? [];
  }

  /** One question for each key; who asks the same waits with it. False: too many wait. */
  #ask(x: Exchange, key: string, part: Pick<LoginQuestion, 'want'> & Partial<LoginQuestion>, resume: Then): boolean {
    const { issuer, allowPrivateAddresses, clientId, clientSecret, deadlineMs } = this.#settings;
    if (this.#waiting >= waitingMax) return this.#overloaded();
    const waiter = { x, token: x.token, resume };
    const running = this.#asked.get(key);
    if (running === undefined) {
      const body = encodeLoginQuestion({ issuer, allowPrivateAddresses, clientId, clientSecret, deadlineMs, grant: '', redirectUri: '', verifier: '', ...part });
      if (!this.#context.questions.ask('oidcLogin', body, (answer) => this.#answered(key, decodeLoginAnswer(answer)))) return this.#overloaded();
      this.#asked.set(key, [waiter]);
    } else running.push(waiter);
    this.#waiting++;
    // Discovery, the question itself and newer keys, each within its own deadline; this one is for a control thread that is silent.
    this.#context.timers.after(2 * deadlineMs + 6_000, (late, token) => {
      if (late.token === token) resume(late, token, { outcome: 'unavailable', problem: 'no answer within the deadline' });
    }, x, x.token);
    return true;
  }

  #answered(key: string, answer: LoginAnswer): void {
    const waiters = this.#asked.get(key) ?? [];
    this.#asked.delete(key);
    this.#waiting -= waiters.length;
    if (answer.outcome === 'unavailable') this.#context.count('oidcLogin_failed');
    for (const { x, token, resume } of waiters) if (x.token === token) resume(x, token, answer);
  }

  #overloaded(): false {
    this.#context.count('oidcLogin_overload');
    return false;
  }

  // --- answers ----------------------------------------------------------------------------------------------------

  #resume(x: Exchange, token: number, verdict: Verdict): void {
    if (verdict !== WAIT) x.proceed(token);
  }

  /** Instead of the way to the issuer: whoever shows something else is not concerned. */
  #unavailable(x: Exchange, reason: Reason, detail: string): null {
    (x.identity ??= new RequestIdentity()).invitation = this.#refuse(reason, detail);
    return null;
  }

  #refuse(reason: Reason, detail: string, pointer = ''): Answer {
    const fields: Field[] = [makeField('cache-control', 'no-store')];
    if (reason.status === 503) fields.push(makeField('retry-after', '1'));
    return this.#context.refuse(reason, pointer, detail, fields);
  }

  #redirect(to: string, cookies: readonly string[]): Answer {
    const fields = [makeField('location', to), makeField('cache-control', 'no-store'), ...cookies.map((cookie) => makeField('set-cookie', cookie))];
    return { ...this.#context.refuse(oidcRedirect, '', '', fields), body: noBody };
  }

  /** Always https: the cookies travel over nothing else. */
  #ownAddress(x: Exchange, path: string): string {
    return `https://${x.askedAuthority ?? x.head.authority}${path}`;
  }
}

function tryKeys(read: CompactToken, candidates: readonly VerificationKey[], i: number, done: (valid: boolean) => void): void {
  const key = candidates[i];
  if (key === undefined) return done(false);
  key.verify(read.algorithm, read.signedBytes, read.signature, (valid) => (valid ? done(true) : tryKeys(read, candidates, i + 1, done)));
}

function isBrowser(head: Head): boolean {
  return head.method === 'GET' && head.protocol === '' && head.valueAt(acceptId, 0).includes('text/html');
}

function withParameters(address: string, parameters: Readonly<Record<string, string>>): string {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

const setCookieId = headerId('set-cookie');
const acceptId = headerId('accept');
const fetchSiteId = knownHeader('sec-fetch-site', '');
const noBody = new Uint8Array(0);
const loginMs = 600_000;
const addressesKeptMs = 60_000;
/** RFC 6749 section 5.1 lets an issuer leave it out. */
const tokensSecondsUntold = 300;
const waitingMax = 1024;
const statesMax = 10_000;
/** With its name and attributes a cookie stays under 4,096 bytes. */
const cookieTextMax = 3600;
