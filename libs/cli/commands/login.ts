import type { Command } from 'commander';
import { resolve } from 'node:path';
import type { LoginAnswer, WhoamiAnswer } from '../api-shapes.ts';
import { ApiProblem, openApi } from '../api-client.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { deviceLogin } from '../login/device-login.ts';
import { storeLogin } from '../login/login-store.ts';
import type { StoredLogin } from '../login/login-store.ts';
import { tlsOptions } from '../login/server-trust.ts';
import { addApiOptions, trustOf } from '../session.ts';
import type { Runner, Session, SharedOptions } from '../session.ts';
import { grantsText } from './whoami.ts';

interface LoginOptions {
  readonly tokenStdin?: boolean;
}

const tokenBytesMax = 16 * 1024;

/** `remora login`: a token of the company's issuer, by a code in a browser; `--token-stdin`: an API token. */
export function addLogin(program: Command, run: Runner): void {
  const command = program
    .command('login')
    .description('log in at a control plane: by its OpenID issuer with a code in a browser, or with an API token from standard input; kept for later commands, readable by you only')
    .option('--token-stdin', 'read an API token from standard input')
    .action(run<LoginOptions>(login));
  addApiOptions(command);
}

async function login(session: Session, options: LoginOptions & SharedOptions): Promise<void> {
  const server = new URL(session.api.server);
  // Of the server itself nothing is asked with what an earlier login has.
  const asked = { server: session.api.server, author: '', tls: (url: URL) => tlsOptions(url, trustOf(session.terminal, options, url)) };
  const got = options.tokenStdin ? await tokenOfInput(session) : await tokenOfIssuer(session, asked);
  const stored: StoredLogin = { ...got, ...keptTrust(session, options, server) };
  const me = await whoIs(asked, stored.token);
  const path = storeLogin(session.terminal, server.origin, stored);
  session.answer(me, () => `logged in at ${server.origin} as ${session.style.name(me.name)}: ${grantsText(me)}\n`);
  session.remark(`kept in ${path}; \`remora logout\` forgets it`);
}

async function tokenOfInput({ terminal }: Session): Promise<StoredLogin> {
  const token = Buffer.from(await terminal.readStdin(tokenBytesMax)).toString('utf8').trim();
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(token)) throw new CommandFailure(exitCodes.usage, 'standard input has no token');
  return { token };
}

async function tokenOfIssuer(session: Session, asked: Parameters<typeof openApi>[0]): Promise<StoredLogin> {
  const api = openApi(asked);
  try {
    const { authentication, oidc } = (await api.call({ method: 'GET', path: '/v1/login' })).body as LoginAnswer;
    if (authentication === 'off') throw new CommandFailure(exitCodes.usage, 'this control plane asks for no token (--api-auth off): there is nothing to log in to');
    if (oidc === null) throw new CommandFailure(exitCodes.usage, 'this control plane knows no OpenID issuer; with an API token: `remora login --token-stdin`');
    const { terminal } = session;
    return await deviceLogin(oidc, {
      signal: terminal.signal,
      now: () => terminal.now(),
      prompt: ({ url, code, completeUrl }) => session.remark(`Open ${completeUrl || url} and allow the login with the code ${session.errStyle.strong(code)}`),
    });
  } finally {
    await api.close();
  }
}

/** A token that the control plane does not take is not kept. */
async function whoIs(asked: Parameters<typeof openApi>[0], token: string): Promise<WhoamiAnswer> {
  const api = openApi({ ...asked, token: () => Promise.resolve(token) });
  try {
    return (await api.call({ method: 'GET', path: '/v1/whoami' })).body as WhoamiAnswer;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 403) throw new CommandFailure(exitCodes.refused, `you are known there, and have no role: ${error.problem.detail ?? ''}`, { cause: error });
    throw error;
  } finally {
    await api.close();
  }
}

/** Later commands trust the server as this one did. */
function keptTrust({ terminal }: Session, options: SharedOptions, server: URL): Pick<StoredLogin, 'caFile' | 'pin'> {
  const { caFile, pin } = trustOf(terminal, options, server);
  return { ...(caFile === undefined ? {} : { caFile: resolve(terminal.cwd, caFile) }), ...(pin === undefined ? {} : { pin }) };
}
