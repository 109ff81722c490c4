import type { Command } from 'commander';
import { Option } from 'commander';
import type { ItemEnforcementAnswer } from './api-shapes.ts';
import { enforcementExitCode, itemEnforcementText } from './enforcement-text.ts';
import { exitCodes } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { whileWaiting } from './progress.ts';
import type { Session } from './session.ts';
import { answerSlackMs, waitOption } from './write-options.ts';

/** Options of commands that change what is in no revision. */
export interface ItemWaitOptions {
  readonly wait?: boolean;
  readonly timeout: number;
}

/** `--wait`, `--timeout`. */
export function addItemWaitOptions(command: Command): Command {
  return command
    .option('--wait', 'with a change: wait until the sidecars that need it enforce it')
    .addOption(new Option('--timeout <time>', 'longest wait for the sidecars').argParser(waitOption).default(10_000, '10s'));
}

/** After the change, with `--wait`: says on standard error who enforces it and who does not. Answers the exit code of the command. */
export async function untilEnforced(session: Session, { wait, timeout }: ItemWaitOptions, of: ItemEnforcementAnswer['of']): Promise<ExitCode> {
  if (wait !== true) return exitCodes.ok;
  const question = { method: 'GET', path: `/v1/enforcement/${of}`, query: { timeout: `${timeout}ms` }, timeoutMs: timeout + answerSlackMs } as const;
  const enforcement = await whileWaiting(session, async () => (await session.api.call(question)).body as ItemEnforcementAnswer);
  session.remark(itemEnforcementText(enforcement, session.errStyle));
  return enforcementExitCode(enforcement);
}
