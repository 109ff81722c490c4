import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Terminal } from '../terminal.ts';
import { renewLogin } from './device-login.ts';
import { readLogins, storeLogin } from './login-store.ts';
import type { StoredLogin } from './login-store.ts';

/** A token is renewed when it ends within this time. */
const renewAheadMs = 60_000;

/** The bearer token for a server: REMORA_TOKEN, or what `remora login` kept for exactly this server; '' for none. */
export async function tokenFor(server: URL, terminal: Pick<Terminal, 'env' | 'now'>): Promise<string> {
  const given = terminal.env['REMORA_TOKEN']?.trim() ?? '';
  if (given !== '') return guarded(server, given, 'REMORA_TOKEN');
  const login = readLogins(terminal).logins[server.origin];
  if (!login) return '';
  const current = login.expiresMs !== undefined && login.expiresMs - renewAheadMs < terminal.now() ? await renewed(server, login, terminal) : login;
  return guarded(server, current.token, 'the login');
}

async function renewed(server: URL, login: StoredLogin, terminal: Pick<Terminal, 'env' | 'now'>): Promise<StoredLogin> {
  const next = await renewLogin(login, () => terminal.now());
  if (!next) {
    if ((login.expiresMs ?? 0) > terminal.now()) return login;
    throw new CommandFailure(exitCodes.refused, `the login at ${server.origin} has ended: \`remora login\``);
  }
  storeLogin(terminal, server.origin, next);
  return next;
}

/** Whoever is on the way would have it. */
function guarded(server: URL, token: string, from: string): string {
  const local = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(server.hostname);
  if (server.protocol !== 'https:' && !local) throw new CommandFailure(exitCodes.usage, `the token of ${from} is not sent to ${server.origin}: only over https://, or on this machine`);
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(token)) throw new CommandFailure(exitCodes.usage, `${from}: it is no token`);
  return token;
}
