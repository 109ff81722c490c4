import { setTimeout as sleep } from 'node:timers/promises';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { askIssuer, textIn } from './issuer-request.ts';
import type { IssuerAnswer } from './issuer-request.ts';
import type { StoredLogin } from './login-store.ts';

/** What a control plane says about its issuer. */
export interface LoginFacts {
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly token: 'id_token' | 'access_token';
}

/** What the user has to do meanwhile. */
export interface DevicePrompt {
  readonly url: string;
  readonly code: string;
  /** With the code in it; '' where the issuer gives none. */
  readonly completeUrl: string;
}

const grantType = 'urn:ietf:params:oauth:grant-type:device_code';
/** RFC 8628 section 3.5: added at each slow_down. */
const slowerMs = 5_000;
const intervalMaxMs = 60_000;

/** The device authorization grant (RFC 8628): the user allows it in a browser anywhere. Throws CommandFailure where it is refused or too late. */
export async function deviceLogin(facts: LoginFacts, options: { readonly prompt: (prompt: DevicePrompt) => void; readonly signal: AbortSignal; readonly now: () => number }): Promise<StoredLogin> {
  const endpoints = await discover(facts.issuer);
  if (endpoints.device === '') throw new CommandFailure(exitCodes.usage, `the issuer ${facts.issuer} has no device authorization (RFC 8628); get a token another way and use \`remora login --token-stdin\``);
  const started = await askIssuer(endpoints.device, { client_id: facts.clientId, scope: facts.scopes.join(' ') });
  const [deviceCode, code, url] = [textIn(started, 'device_code'), textIn(started, 'user_code'), textIn(started, 'verification_uri')];
  if (started.status !== 200 || deviceCode === '' || code === '' || url === '') throw refusal('the issuer does not begin a login', started);
  options.prompt({ url: printable(url), code: printable(code), completeUrl: printable(textIn(started, 'verification_uri_complete')) });
  const endMs = options.now() + seconds(started, 'expires_in', 600);
  let waitMs = Math.max(1_000, seconds(started, 'interval', 5));
  while (options.now() < endMs) {
    await sleep(waitMs, undefined, { signal: options.signal });
    const answer = await askIssuer(endpoints.token, { grant_type: grantType, device_code: deviceCode, client_id: facts.clientId });
    if (answer.status === 200) return loginOf(facts, answer, options.now());
    const error = textIn(answer, 'error');
    if (error === 'slow_down') waitMs = Math.min(intervalMaxMs, waitMs + slowerMs);
    else if (error !== 'authorization_pending') throw refusal('the login was not allowed', answer);
  }
  throw new CommandFailure(exitCodes.refused, 'the code has expired before the login was allowed; try again');
}

/** Another token with the refresh token of a login (RFC 6749 section 6); null where the issuer does not give one any more. */
export async function renewLogin(login: StoredLogin, now: () => number): Promise<StoredLogin | null> {
  const { renewal } = login;
  if (!renewal) return null;
  const { token } = await discover(renewal.issuer);
  const answer = await askIssuer(token, { grant_type: 'refresh_token', refresh_token: renewal.refreshToken, client_id: renewal.clientId });
  if (answer.status !== 200) return null;
  const next = loginOf({ ...renewal, scopes: [] }, answer, now(), renewal.refreshToken);
  return { ...login, ...next };
}

/** OpenID Connect Discovery 1.0 section 4: the answer must be about this issuer. */
async function discover(issuer: string): Promise<{ readonly device: string; readonly token: string }> {
  const answer = await askIssuer(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const token = textIn(answer, 'token_endpoint');
  if (answer.status !== 200 || textIn(answer, 'issuer') !== issuer || token === '') throw new CommandFailure(exitCodes.serverFailed, `${issuer} does not describe itself as an OpenID provider of that name`);
  return { device: textIn(answer, 'device_authorization_endpoint'), token };
}

function loginOf(facts: LoginFacts, answer: IssuerAnswer, nowMs: number, refreshToken = ''): StoredLogin {
  const token = textIn(answer, facts.token);
  if (token === '') throw new CommandFailure(exitCodes.serverFailed, `the issuer gave no ${facts.token}`);
  const refresh = textIn(answer, 'refresh_token') || refreshToken;
  const { issuer, clientId } = facts;
  return { token, expiresMs: endOf(token) ?? nowMs + seconds(answer, 'expires_in', 300), ...(refresh === '' ? {} : { renewal: { issuer, clientId, refreshToken: refresh, token: facts.token } }) };
}

/** `exp` of a JWT, which nobody verifies here: only to know when to ask for another one. */
function endOf(token: string): number | null {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as { readonly exp?: unknown };
    return typeof exp === 'number' ? exp * 1_000 : null;
  } catch {
    return null;
  }
}

function seconds({ body }: IssuerAnswer, name: string, standard: number): number {
  const value = body[name];
  return (typeof value === 'number' && value > 0 && value <= 86_400 ? value : standard) * 1_000;
}

function refusal(what: string, answer: IssuerAnswer): CommandFailure {
  const why = printable([textIn(answer, 'error'), textIn(answer, 'error_description')].filter((text) => text !== '').join(': '));
  return new CommandFailure(exitCodes.refused, `${what}${why === '' ? ` (it answered ${answer.status})` : `: ${why}`}`);
}

/** What an issuer says reaches a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500);
}
