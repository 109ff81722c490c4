import { parseDurationMs } from '@remora/core/units';
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { defaultServer, openApi } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import { tokenFor } from './login/api-credentials.ts';
import { readLogins } from './login/login-store.ts';
import { tlsOptions } from './login/server-trust.ts';
import type { ServerTrust } from './login/server-trust.ts';
import type { ExitCode } from './exit-codes.ts';
import { styleFor } from './style.ts';
import type { Style } from './style.ts';
import type { Terminal } from './terminal.ts';

/** What one run of a command works with. */
export interface Session {
  readonly terminal: Terminal;
  readonly format: OutputFormat;
  /** For standard output. */
  readonly style: Style;
  /** For standard error. */
  readonly errStyle: Style;
  /** Opened at first use; closed when the command ends. */
  readonly api: ApiClient;
  /** Writes the answer: the value for programs, the text for people. */
  answer(value: unknown, text: () => string): void;
  /** Writes a remark for people to standard error. */
  remark(text: string): void;
}

export type OutputFormat = 'table' | 'json' | 'yaml';

/** Options that commands of the HTTP API share. */
export interface SharedOptions {
  readonly server?: string;
  readonly output?: OutputFormat;
  readonly author?: string;
  readonly caFile?: string;
  readonly pin?: string;
  readonly requestTimeout?: number;
}

/** The body of a command: answers its exit code, 0 where it answers nothing. Throws CommandFailure for the rest. */
export type CommandBody<Options> = (session: Session, options: Options & SharedOptions, args: readonly string[]) => Promise<ExitCode | void>;

/** Turns a body into what commander calls. */
export type Runner = <Options>(body: CommandBody<Options>) => (this: Command) => Promise<void>;

/** Opens a session for one command and hands its exit code to `done`; `opened` lets the caller close what it holds. */
export function runnerFor(terminal: Terminal, done: (code: ExitCode) => void): Runner {
  return <Options>(body: CommandBody<Options>) =>
    async function run(this: Command): Promise<void> {
      const options = this.opts<Options & SharedOptions>();
      const session = new OpenSession(terminal, options);
      try {
        done((await body(session, options, this.args)) ?? 0);
      } finally {
        await session.close();
      }
    };
}

class OpenSession implements Session {
  readonly terminal: Terminal;
  readonly format: OutputFormat;
  readonly style: Style;
  readonly errStyle: Style;
  readonly #options: SharedOptions;
  #api: ApiClient | null = null;

  constructor(terminal: Terminal, options: SharedOptions) {
    this.terminal = terminal;
    this.format = options.output ?? 'table';
    this.style = styleFor(terminal, 'out');
    this.errStyle = styleFor(terminal, 'err');
    this.#options = options;
  }

  get api(): ApiClient {
    this.#api ??= openApi({
      server: serverOf(this.terminal, this.#options),
      token: (server) => tokenFor(server, this.terminal),
      tls: (server) => tlsOptions(server, trustOf(this.terminal, this.#options, server)),
      author: this.#options.author ?? setting(this.terminal, 'REMORA_AUTHOR') ?? accountName(),
      ...(this.#options.requestTimeout === undefined ? {} : { timeoutMs: this.#options.requestTimeout }),
    });
    return this.#api;
  }

  answer(value: unknown, text: () => string): void {
    this.terminal.out(this.format === 'table' ? text() : formatValue(value, this.format));
  }

  remark(text: string): void {
    this.terminal.err(text.endsWith('\n') ? text : `${text}\n`);
  }

  async close(): Promise<void> {
    await this.#api?.close();
  }
}

/** What was said, the server of the last login, or this machine. */
export function serverOf(terminal: Terminal, { server }: Pick<SharedOptions, 'server'>): string {
  return server ?? setting(terminal, 'REMORA_SERVER') ?? setting(terminal, 'REMORA_API') ?? readLogins(terminal).current ?? defaultServer;
}

/** What was said, or as the server was trusted at the login. */
export function trustOf(terminal: Terminal, options: Pick<SharedOptions, 'caFile' | 'pin'>, server: URL): ServerTrust {
  const given = { caFile: options.caFile ?? setting(terminal, 'REMORA_CA_FILE'), pin: options.pin ?? setting(terminal, 'REMORA_PIN') };
  if (given.caFile !== undefined) return { caFile: resolve(terminal.cwd, given.caFile) };
  if (given.pin !== undefined) return { pin: given.pin };
  if (server.protocol !== 'https:') return {};
  const { caFile, pin } = readLogins(terminal).logins[server.origin] ?? {};
  return { caFile, pin };
}

/** JSON with two spaces, or YAML; ends with a line end. */
export function formatValue(value: unknown, format: 'json' | 'yaml'): string {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** A variable of the environment; an empty one counts as none. */
function setting(terminal: Terminal, name: string): string | undefined {
  const value = terminal.env[name];
  return value === '' ? undefined : value;
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}

/** `-o`, for commands that only print. */
export function addOutputOption(command: Command): Command {
  return command.addOption(new Option('-o, --output <format>', 'table for people, json or yaml for programs').choices(['table', 'json', 'yaml']).default('table'));
}

/** `--server`, `-o` and the rest, for commands that use the HTTP API. */
export function addApiOptions(command: Command): Command {
  return addOutputOption(command)
    .addOption(new Option('--server <url>', `address of the control plane (REMORA_SERVER, that of the last login, or ${defaultServer})`))
    .addOption(new Option('--ca-file <file>', 'PEM of the authority that the control plane\'s certificate leads to (REMORA_CA_FILE)'))
    .addOption(new Option('--pin <sha256>', 'pin of that authority instead, as `remora ca show` has it (REMORA_PIN)'))
    .addOption(new Option('--author <name>', 'who is named in the history where the control plane asks for no token (REMORA_AUTHOR, or the name of the account)'))
    .addOption(new Option('--request-timeout <time>', 'longest wait for one answer (30s)').argParser(durationOption));
}

/** `10s`, `250ms` → milliseconds; a bare number means seconds. */
export function durationOption(text: string): number {
  const ms = parseDurationMs(/^\d{1,6}$/.test(text) ? `${text}s` : text);
  if (ms === null) throw new InvalidArgumentError('expected a duration such as 250ms, 10s or 1m30s.');
  return ms;
}
