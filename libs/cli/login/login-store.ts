import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Terminal } from '../terminal.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';

/** What `remora login` keeps of one control plane. */
export interface StoredLogin {
  /** Sent as bearer token. */
  readonly token: string;
  /** Unix ms; absent: not known. */
  readonly expiresMs?: number;
  /** How to get another one without the user; absent: only by `remora login`. */
  readonly renewal?: { readonly issuer: string; readonly clientId: string; readonly refreshToken: string; readonly token: 'id_token' | 'access_token' };
  /** How the server was trusted then; the next commands do the same. */
  readonly caFile?: string;
  readonly pin?: string;
}

/** The file of all logins of one user. */
export interface LoginFile {
  /** Server of the last login: where commands go that name none. */
  readonly current?: string;
  readonly logins: Readonly<Record<string, StoredLogin>>;
}

const nothing: LoginFile = { logins: {} };
const fileBytesMax = 1024 * 1024;

/** `$XDG_CONFIG_HOME/remora/login.json`; null where there is no home. */
export function loginPath({ env }: Pick<Terminal, 'env'>): string | null {
  const home = env['HOME'];
  const folder = env['XDG_CONFIG_HOME'] || (home ? join(home, '.config') : '');
  return folder === '' ? null : join(folder, 'remora', 'login.json');
}

/** Nothing where there is none. Throws CommandFailure where others can read it, or it is damaged. */
export function readLogins(terminal: Pick<Terminal, 'env'>): LoginFile {
  const path = loginPath(terminal);
  if (path === null) return nothing;
  let text: string;
  try {
    const { mode, size } = statSync(path);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) throw new CommandFailure(exitCodes.usage, `${path}: others can read it (mode ${(mode & 0o777).toString(8)}), and it holds tokens: chmod 600, or \`remora login\` anew`);
    if (size > fileBytesMax) throw new CommandFailure(exitCodes.usage, `${path}: larger than ${fileBytesMax} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return nothing;
    throw error instanceof CommandFailure ? error : new CommandFailure(exitCodes.usage, `${path}: ${(error as Error).message}`, { cause: error });
  }
  const file = parse(text);
  if (file === null) throw new CommandFailure(exitCodes.usage, `${path}: it is damaged; remove it, and log in anew`);
  return file;
}

/** Keeps (or with null forgets) a login, in a file of its owner alone that is replaced as a whole. */
export function storeLogin(terminal: Pick<Terminal, 'env'>, server: string, login: StoredLogin | null): string {
  const path = loginPath(terminal);
  if (path === null) throw new CommandFailure(exitCodes.usage, 'there is no folder for the login: HOME and XDG_CONFIG_HOME are not set');
  const before = readLogins(terminal);
  const { [server]: _, ...others } = before.logins;
  const current = login === null ? (before.current === server ? undefined : before.current) : server;
  const next: LoginFile = { ...(current === undefined ? {} : { current }), logins: login === null ? others : { ...others, [server]: login } };
  const unfinished = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    rmSync(unfinished, { force: true });
    writeFileSync(unfinished, `${JSON.stringify(next, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(unfinished, 0o600);
    renameSync(unfinished, path);
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, `${path}: ${(error as Error).message}`, { cause: error });
  }
  return path;
}

function parse(text: string): LoginFile | null {
  try {
    const value = JSON.parse(text) as { readonly current?: unknown; readonly logins?: unknown };
    if (typeof value !== 'object' || value === null || typeof value.logins !== 'object' || value.logins === null) return null;
    const logins = Object.entries(value.logins).filter((entry): entry is [string, StoredLogin] => typeof (entry[1] as { readonly token?: unknown } | null)?.token === 'string');
    return { ...(typeof value.current === 'string' ? { current: value.current } : {}), logins: Object.fromEntries(logins) };
  } catch {
    return null;
  }
}
