import type { Command } from 'commander';
import { Option } from 'commander';
import type { ItemEnforcementAnswer } from './api-shapes.ts';
import { exitCodes } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { whileWaiting } from './progress.ts';
import { refusalLines } from './refusal-text.ts';
import type { Session } from './session.ts';
import type { Style } from './style.ts';
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
  return enforcement.counts.refused > 0 || enforcement.counts.pending > 0 ? exitCodes.notEnforced : exitCodes.ok;
}

/** Sidecars named for a person; `GET /v1/enforcement/…` names all. */
const namesMax = 50;

/** `enforced by 5 of 6 in 12 ms (1 offline)`; then a line for every sidecar that does not enforce it. */
export function itemEnforcementText({ counts, sidecars, elapsedMs }: ItemEnforcementAnswer, style: Style): string {
  if (counts.total === 0) return 'no sidecar needs it\n';
  const rest = (['refused', 'pending', 'offline'] as const).filter((outcome) => counts[outcome] > 0).map((outcome) => `${counts[outcome]} ${outcome}`);
  const line = `enforced by ${counts.applied} of ${counts.total}${elapsedMs > 0 ? ` in ${Math.round(elapsedMs)} ms` : ''}${rest.length === 0 ? '' : ` (${rest.join(', ')})`}`;
  const paint = counts.refused > 0 ? style.bad : counts.applied === counts.total ? style.good : style.warn;
  const others = sidecars.filter(({ outcome }) => outcome !== 'applied');
  const lines = others.slice(0, namesMax).map((one) => `  ${style.name(one.nodeId)} (${one.subject}) ${one.refusal === null ? `${meanings[one.outcome]}\n` : refusalLines(one.refusal, style)}`);
  const more = counts.total - counts.applied - lines.length;
  return `${paint(line)}\n${lines.join('')}${more > 0 ? style.faint(`  and ${more} more\n`) : ''}`;
}

const meanings = { applied: 'applied', refused: 'refused', pending: 'pending', offline: 'offline: if it runs, it goes on with what it had' } as const;
