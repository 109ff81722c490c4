import { parseDurationMs } from '@remora/core/units';
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { userInfo } from 'node:os';
import { stringify } from 'yaml';
import { defaultServer, openApi } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
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
      server: this.#options.server ?? setting(this.terminal, 'REMORA_SERVER') ?? defaultServer,
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
    .addOption(new Option('--server <url>', `address of the control plane (REMORA_SERVER, or ${defaultServer})`))
    .addOption(new Option('--author <name>', 'who is named in the history (REMORA_AUTHOR, or the name of the account)'))
    .addOption(new Option('--request-timeout <time>', 'longest wait for one answer (30s)').argParser(durationOption));
}

/** `10s`, `250ms` → milliseconds; a bare number means seconds. */
export function durationOption(text: string): number {
  const ms = parseDurationMs(/^\d{1,6}$/.test(text) ? `${text}s` : text);
  if (ms === null) throw new InvalidArgumentError('expected a duration such as 250ms, 10s or 1m30s.');
  return ms;
}
