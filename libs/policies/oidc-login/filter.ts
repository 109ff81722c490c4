import { createHash, randomBytes } from 'node:crypto';
import type { Reason } from '@remora/errors/reason';
import type { Field, Head } from '@remora/http/head';
import { headerId, makeField } from '@remora/http/header-ids';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import { WAIT, type Answer, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import { queryValueAt } from '@remora/policy-kit/query-values';
import type { FactBook } from '@remora/policy-kit/facts';
import { RequestIdentity, type FoundCredential } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import type { LoginAnswer } from '@remora/policy-kit/tokens/login-question';
import { TokenCache } from '@remora/policy-kit/tokens/token-cache';
import { isFromAnotherSite, isNavigation } from './browser-request.ts';
import { CookieSeal } from './cookie-seal.ts';
import { IdTokenProof } from './id-token-proof.ts';
import { sameText } from './id-token.ts';
import { IssuerQuestions } from './issuer-questions.ts';
import { LoginCookies } from './login-cookies.ts';
import { oidcCrossSite, oidcDenied, oidcOverload, oidcRedirect, oidcSecret, oidcSessionSize, oidcState, oidcToken, oidcUnavailable } from './reasons.ts';
import { returnTarget } from './return-target.ts';
import { makeSession, readLogin, readSession, type Login, type Session } from './session.ts';
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
  /** What requests with it show; made anew when consumers are others. */
  found: FoundCredential | null;
  /** Of the consumers, when it was made. */
  consumers: number;
}

class OidcLoginFilter implements EdgeFilter {
  readonly kind = 'oidcLogin';
  readonly #settings: OidcLoginSettings;
  readonly #context: FilterContext;
  readonly #sessions: CookieSeal;
  readonly #logins: CookieSeal;
  readonly #cookies: LoginCookies;
  readonly #challenge: string;
  readonly #opened = new TokenCache<OpenedSession>({ entriesMax: 4096, bytesMax: 8 * 1024 * 1024 });
  readonly #proof: IdTokenProof;
  readonly #questions: IssuerQuestions;
  readonly #directory: ConsumerDirectory;
  readonly #consumers: FactBook;
  readonly #slot: number;
  #addresses: { readonly authorization: string; readonly endSession: string; readonly until: number } | null = null;
  readonly #passed: () => void;

  constructor(settings: OidcLoginSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    const owner = context.scope.slice(0, context.scope.lastIndexOf('/') + 1);
    const seal = (purpose: string): CookieSeal => new CookieSeal({
      secrets: context.facts('secret'), names: settings.formerSessionKey === '' ? [settings.sessionKey] : [settings.sessionKey, settings.formerSessionKey],
      purpose: JSON.stringify([purpose, owner, settings.issuer, settings.clientId]),
    });
    this.#sessions = seal('session');
    this.#logins = seal('login');
    this.#cookies = new LoginCookies({ name: settings.cookieName, domain: settings.cookieDomain });
    this.#challenge = `Cookie cookie-name="${settings.cookieName}"`;
    this.#proof = new IdTokenProof(settings, context);
    this.#questions = new IssuerQuestions(settings, context);
    this.#consumers = context.facts('consumers');
    this.#directory = consumerDirectory(this.#consumers);
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
    const text = this.#cookies.session(x.head);
    const opened = text === null ? null : this.#open(text, x.startedWallMs);
    if (opened === null) return this.#withoutSession(x);
    this.#cookies.remove(x.head);
    if (x.startedWallMs < opened.session.refreshAt) return this.#finds(identity, this.#foundOf(opened));
    return this.#refresh(x, opened.session);
  }

  /** A refreshed session travels with whatever the response is, refusals of later kinds too. Nobody may keep a response with a session for others. */
  response(x: Exchange, head: Head): void {
    const cookie = x.slots[this.#slot];
    if (typeof cookie !== 'string') return;
    head.append(setCookieId, cookie);
    head.set(cacheControlId, 'no-store');
  }

  // --- sessions ---------------------------------------------------------------------------------------------------

  #open(text: string, nowMs: number): OpenedSession | null {
    const { version } = this.#sessions;
    const known = this.#opened.get(text);
    if (known !== undefined && known.version === version) return nowMs < known.session.end ? known : null;
    const plain = this.#sessions.open(text);
    const session = plain === null ? null : readSession(plain);
    if (session === null) {
      this.#context.count('oidcLogin_rejected');
      return null;
    }
    const opened: OpenedSession = { text, used: false, session, version, found: null, consumers: -1 };
    this.#opened.put(opened);
    return nowMs < session.end ? opened : null;
  }

  #foundOf(opened: OpenedSession): FoundCredential {
    const { version } = this.#consumers;
    if (opened.found !== null && opened.consumers === version) return opened.found;
    opened.consumers = version;
    return (opened.found = this.#shownBy(opened.session));
  }

  #shownBy({ sub, claims, scopes }: Session): FoundCredential {
    const { issuer } = this.#settings;
    return { consumer: this.#directory.byIdentity(issuer, claims), subject: sub, issuer, claims, scopes };
  }

  #find(x: Exchange, session: Session): null {
    return this.#finds((x.identity ??= new RequestIdentity()), this.#shownBy(session));
  }

  #finds(identity: RequestIdentity, found: FoundCredential): null {
    this.#passed();
    identity.finds('oidcLogin', found);
    return null;
  }

  #refresh(x: Exchange, session: Session): Verdict {
    const stillHolds = x.startedWallMs < session.tokensEnd;
    if (session.refreshToken === '') return stillHolds ? this.#find(x, session) : this.#withoutSession(x);
    if (this.#context.shadow) return stillHolds ? this.#find(x, session) : null;
    const key = createHash('sha256').update(session.refreshToken).digest('base64');
    const asks = this.#questions.ask(x, `refresh ${key}`, { want: 'refresh', grant: session.refreshToken }, (later, token, answer) => this.#refreshed(later, token, session, answer));
    if (asks) return WAIT;
    return stillHolds ? this.#find(x, session) : this.#unavailable(x, oidcOverload, 'too many questions are without an answer');
  }

  #refreshed(x: Exchange, token: number, session: Session, answer: LoginAnswer): void {
    if (answer.outcome === 'tokens') {
      if (answer.idToken === '') return this.#renewed(x, token, session, session.claims, answer);
      return this.#proof.verify(x, token, answer.idToken, { nonce: null, subject: session.sub }, (proof) => {
        if (proof.claims === null) this.#resume(x, token, this.#withoutSession(x));
        else this.#renewed(x, token, session, proof.claims, answer);
      });
    }
    if (answer.outcome === 'refused') this.#resume(x, token, this.#withoutSession(x));
    else if (this.#context.clock.wallMs() < session.tokensEnd) this.#resume(x, token, this.#find(x, session));
    else this.#resume(x, token, this.#unanswered(x, answer));
  }

  #renewed(x: Exchange, token: number, session: Session, claims: Session['claims'], answer: Extract<LoginAnswer, { outcome: 'tokens' }>): void {
    const nowMs = this.#context.clock.wallMs();
    const grant = { ...answer, refreshToken: answer.refreshToken || session.refreshToken, scope: answer.scope || session.scopes.join(' ') };
    const next = makeSession(claims, grant, { keep: this.#settings.claims, end: session.end, nowMs });
    const cookie = this.#sessionCookie(next, nowMs);
    if (cookie === null) {
      // Going on would ask with the old refresh token at each request.
      (x.identity ??= new RequestIdentity()).fails('oidcLogin', this.#refuse(oidcSessionSize, 'the refreshed session does not fit', '/claims'));
    } else {
      x.slots[this.#slot] = cookie;
      this.#context.count('oidcLogin_refreshed');
      this.#find(x, next);
    }
    x.proceed(token);
  }

  /** Null: it cannot be sealed, or is too large. */
  #sessionCookie(session: Session, nowMs: number): string | null {
    const text = this.#sessions.seal(JSON.stringify(session));
    if (text === null || text.length > cookieTextMax) return null;
    return this.#cookies.setSession(text, Math.max(0, Math.floor((session.end - nowMs) / 1000)));
  }

  // --- logins -----------------------------------------------------------------------------------------------------

  /** What a client gets that showed nothing else: a browser goes to the issuer, a program gets 401. */
  #withoutSession(x: Exchange): Verdict {
    const identity = (x.identity ??= new RequestIdentity());
    identity.challenge(this.#challenge);
    const ended = this.#cookies.endLogins(x.head, loginsKept);
    this.#cookies.remove(x.head);
    if (this.#context.shadow || this.#settings.neverRedirect || identity.proved !== 0 || identity.failure !== null || !isNavigation(x.head)) return null;
    const known = this.#addresses;
    if (known !== null && x.startedWallMs < known.until) return this.#inviteTo(x, known.authorization, ended);
    const asks = this.#questions.ask(x, 'addresses', { want: 'addresses' }, (later, token, answer) => {
      if (answer.outcome === 'addresses' && !answer.secretMissing) {
        this.#learn(later, answer);
        this.#inviteTo(later, answer.authorization, ended);
      } else this.#unanswered(later, answer);
      later.proceed(token);
    });
    return asks ? WAIT : this.#unavailable(x, oidcOverload, 'too many questions are without an answer');
  }

  #learn(x: Exchange, { authorization, endSession }: { readonly authorization: string; readonly endSession: string }): void {
    this.#addresses = { authorization, endSession, until: Math.max(x.startedWallMs, this.#context.clock.wallMs()) + addressesKeptMs };
  }

  #inviteTo(x: Exchange, authorization: string, ended: readonly string[]): null {
    const { clientId, scopes } = this.#settings;
    const [state, nonce, verifier] = [random(), random(), random()];
    const { path, query } = x.head;
    const login: Login = { state, nonce, verifier, target: returnTarget(`${x.askedPath ?? path}${query === '' ? '' : `?${query}`}`), end: this.#context.clock.wallMs() + loginMs };
    const text = this.#logins.seal(JSON.stringify(login));
    if (text === null) return this.#unavailable(x, oidcSecret, `the Secret ${this.#settings.sessionKey} has not come yet, or has less than 16 bytes`, '/sessionKey/secret');
    const parameters = {
      response_type: 'code', client_id: clientId, redirect_uri: this.#ownAddress(x, this.#settings.callbackPath), scope: scopes.join(' '), state, nonce,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    };
    this.#context.count('oidcLogin_invited');
    (x.identity ??= new RequestIdentity()).invitation = this.#redirect(withParameters(authorization, parameters), [...ended, this.#cookies.setLogin(state, text, loginMs / 1000)]);
    return null;
  }

  #callback(x: Exchange): Verdict {
    const { head } = x;
    const state = queryValueAt(head.query, 'state', 0) ?? '';
    if (head.method !== 'GET' || queryValueAt(head.query, 'state', 1) !== null) return this.#refuse(oidcState, 'a callback is a GET with one state');
    const text = this.#cookies.login(head, state);
    const plain = text === null ? null : this.#logins.open(text);
    const login = plain === null ? null : readLogin(plain);
    if (login === null || this.#context.clock.wallMs() >= login.end) return this.#refuse(oidcState, 'no cookie of a login under way with this state');
    if (!sameText(state, login.state)) return this.#refuse(oidcState, 'state is of another login');
    const error = queryValueAt(head.query, 'error', 0);
    if (error !== null) return this.#failed(login, oidcDenied, `the issuer says ${JSON.stringify(error.slice(0, 64))}`);
    const { issuer } = this.#settings;
    // RFC 9207: an answer that says whose it is must be of this issuer.
    if ((queryValueAt(head.query, 'iss', 0) ?? issuer) !== issuer) return this.#refuse(oidcState, 'iss is another issuer');
    const code = queryValueAt(head.query, 'code', 0);
    if (code === null || code === '' || code.length > codeLengthMax) return this.#refuse(oidcState, 'no code');
    const question = { want: 'code', grant: code, redirectUri: this.#ownAddress(x, this.#settings.callbackPath), verifier: login.verifier, state } as const;
    const asks = this.#questions.ask(x, '', question, (later, token, answer) => this.#exchanged(later, token, login, answer));
    return asks ? WAIT : this.#refuse(oidcOverload, 'too many questions are without an answer');
  }

  #exchanged(x: Exchange, token: number, login: Login, answer: LoginAnswer): void {
    switch (answer.outcome) {
      case 'tokens':
        return this.#proof.verify(x, token, answer.idToken, { nonce: login.nonce, subject: '' }, (proof) => {
          x.answer(token, proof.claims === null ? this.#failed(login, oidcToken, proof.problem) : this.#loggedIn(login, proof.claims, answer));
        });
      case 'replayed': return x.answer(token, this.#refuse(oidcState, 'state was used already'));
      case 'refused': return x.answer(token, this.#failed(login, oidcState, `the issuer does not take the code: ${answer.problem}`));
      case 'unusable': return x.answer(token, this.#failed(login, oidcToken, answer.problem));
      case 'secret': return x.answer(token, this.#refuse(oidcSecret, answer.problem, '/clientSecret/secret'));
      case 'unavailable': return x.answer(token, this.#failed(login, oidcUnavailable, answer.problem));
      case 'addresses': return x.answer(token, this.#failed(login, oidcUnavailable, 'an answer to another question'));
    }
  }

  #loggedIn(login: Login, claims: Session['claims'], answer: Extract<LoginAnswer, { outcome: 'tokens' }>): Answer {
    const nowMs = this.#context.clock.wallMs();
    const session = makeSession(claims, answer, { keep: this.#settings.claims, end: nowMs + this.#settings.sessionSeconds * 1000, nowMs });
    const cookie = this.#sessionCookie(session, nowMs);
    if (cookie === null) return this.#failed(login, oidcSessionSize, 'fewer claims, or no scope offline_access, make it smaller', '/claims');
    this.#context.count('oidcLogin_completed');
    return this.#redirect(returnTarget(login.target), [cookie, this.#cookies.endLogin(login.state)]);
  }

  #logout(x: Exchange): Verdict {
    if (x.head.method !== 'GET' && x.head.method !== 'POST') return this.#refuse(oidcState, 'a logout is GET or POST');
    if (isFromAnotherSite(x.head)) return this.#refuse(oidcCrossSite, 'sec-fetch-site names another site');
    const known = this.#addresses;
    if (known !== null && x.startedWallMs < known.until) return this.#loggedOut(x, known.endSession);
    const asks = this.#questions.ask(x, 'addresses', { want: 'addresses' }, (later, token, answer) => {
      if (answer.outcome === 'addresses' && !answer.secretMissing) this.#learn(later, answer);
      later.answer(token, this.#loggedOut(later, answer.outcome === 'addresses' ? answer.endSession : ''));
    });
    return asks ? WAIT : this.#loggedOut(x, '');
  }

  /** The own session ends in any case. */
  #loggedOut(x: Exchange, endSession: string): Answer {
    this.#context.count('oidcLogin_loggedOut');
    const to = endSession === '' ? '/' : withParameters(endSession, { client_id: this.#settings.clientId, post_logout_redirect_uri: this.#ownAddress(x, '/') });
    return this.#redirect(to, [this.#cookies.endSession(), ...this.#cookies.endLogins(x.head, 0)]);
  }

  // --- answers ----------------------------------------------------------------------------------------------------

  #resume(x: Exchange, token: number, verdict: Verdict): void {
    if (verdict !== WAIT) x.proceed(token);
  }

  #unanswered(x: Exchange, answer: LoginAnswer): null {
    const secret = answer.outcome === 'secret' || (answer.outcome === 'addresses' && answer.secretMissing);
    if (secret) return this.#unavailable(x, oidcSecret, `the Secret ${this.#settings.clientSecret} is not set, or has not come yet`, '/clientSecret/secret');
    return this.#unavailable(x, oidcUnavailable, 'problem' in answer ? answer.problem : '');
  }

  /** Instead of the way to the issuer: whoever shows something else is not concerned. */
  #unavailable(x: Exchange, reason: Reason, detail: string, pointer = ''): null {
    (x.identity ??= new RequestIdentity()).invitation = this.#refuse(reason, detail, pointer);
    return null;
  }

  /** A login that is over: its cookie goes too. */
  #failed(login: Login, reason: Reason, detail: string, pointer = ''): Answer {
    const answer = this.#refuse(reason, detail, pointer);
    return { ...answer, fields: [...answer.fields, makeField('set-cookie', this.#cookies.endLogin(login.state))] };
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

function withParameters(address: string, parameters: Readonly<Record<string, string>>): string {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

const setCookieId = headerId('set-cookie');
const cacheControlId = headerId('cache-control');
const noBody = new Uint8Array(0);
const loginMs = 600_000;
/** Logins that one browser may have under way at once before they are all ended by the next. */
const loginsKept = 4;
const codeLengthMax = 4096;
const addressesKeptMs = 60_000;
/** With its name and attributes a cookie stays under 4,096 bytes. */
const cookieTextMax = 3600;
