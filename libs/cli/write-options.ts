import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { exitCodes } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import type { ApiClient, ApiQuestion } from './api-client.ts';
import type { OutputFormat, Session } from './session.ts';
import { durationOption } from './session.ts';
import type { WriteAnswer } from './api-shapes.ts';
import { enforcementExitCode } from './enforcement-text.ts';
import { whileWaiting } from './progress.ts';

/** Options of every command that writes. */
export interface WriteOptions {
  readonly wait?: boolean;
  readonly timeout: number;
  readonly force?: readonly string[];
  readonly message?: string;
  readonly dryRun?: boolean;
  readonly all?: boolean;
  readonly output?: OutputFormat;
}

/** Longest time that the control plane lets a write wait, in milliseconds. */
const waitMsMax = 600_000;
/** Beyond the wait itself, an answer is given this long. */
export const answerSlackMs = 15_000;

/** `--wait`, `--timeout`, `--force`, `--message`, `--dry-run`, `--all`. */
export function addWriteOptions(command: Command): Command {
  return command
    .option('--wait', 'wait until the sidecars concerned enforce it')
    .addOption(new Option('--timeout <time>', 'longest wait for the sidecars').argParser(waitOption).default(10_000, '10s'))
    .option('--force <guards>', 'lift guards by name, separated by commas; never validation or bounds', listOption)
    .option('-m, --message <text>', 'why, for the history')
    .option('--dry-run', 'show what would change and which sidecars would be touched; change nothing')
    .option('--all', 'with --dry-run: also defaults that come or go with a section; json and yaml always have them');
}

/** A time for `--timeout`. */
export function waitOption(text: string): number {
  const ms = durationOption(text);
  if (ms > waitMsMax) throw new InvalidArgumentError('at most 10m.');
  return ms;
}

function listOption(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(',').map((part) => part.trim()).filter((part) => part !== '')];
}

/** Query parameters and time limit that the options ask for. */
export function writeQuestion(options: WriteOptions): Pick<ApiQuestion, 'query' | 'timeoutMs'> {
  const waits = options.wait === true && options.dryRun !== true;
  return {
    query: {
      dryRun: options.dryRun === true ? 'true' : undefined,
      all: options.dryRun === true && listsDefaults(options) ? 'true' : undefined,
      wait: waits ? 'applied' : undefined,
      timeout: waits ? `${options.timeout}ms` : undefined,
      force: options.force?.join(','),
      message: options.message,
    },
    timeoutMs: (waits ? options.timeout : 0) + answerSlackMs + 15_000,
  };
}

/** People get what policies set, programs everything. */
function listsDefaults({ all, output = 'table' }: WriteOptions): boolean {
  return all === true || output !== 'table';
}

/** Sends a write; with `--wait`, shows that it waits. */
export async function sendWrite(session: Session, options: WriteOptions, question: ApiQuestion): Promise<WriteAnswer> {
  const send = async (api: ApiClient): Promise<WriteAnswer> => (await api.call(question)).body as WriteAnswer;
  if (options.wait !== true || options.dryRun === true) return send(session.api);
  return whileWaiting(session, () => send(session.api));
}

/** Exit code of a write that was not refused. */
export function writeExitCode(answer: WriteAnswer): ExitCode {
  return answer.enforcement === null ? exitCodes.ok : enforcementExitCode(answer.enforcement);
}
