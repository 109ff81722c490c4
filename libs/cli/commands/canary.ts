import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { CanaryListAnswer, CanaryStatusAnswer } from '../api-shapes.ts';
import { canaryText, phaseText, percentText } from '../canary-text.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';

const refreshMs = 2_000;

/** `remora canary …`: where canaries stand, with the figures behind each decision, and what people tell them. */
export function addCanary(program: Command, run: Runner): void {
  const canary = program.command('canary').description('where canaries stand, with the figures behind each decision; and what people tell them');
  addApiOptions(canary
    .command('list')
    .description('every canary: running ones first, then the last ended')
    .action(run(async (session) => {
      const answer = (await session.api.call({ method: 'GET', path: '/v1/canary-status' })).body as CanaryListAnswer;
      session.answer(answer, () => listText(answer, session));
    })));
  addApiOptions(canary
    .command('status')
    .description('where one stands: both sides, each gate with its figures, and what was decided')
    .argument('<name>', 'name of the canary')
    .option('-w, --watch', `again every ${refreshMs / 1_000} s, until it ends or Ctrl-C`)
    .action(run<{ readonly watch?: boolean }>((session, { watch }, [name = '']) => (watch === true ? watched(session, name) : shown(session, name)))));
  addApiOptions(canary
    .command('promote')
    .description('approves the step that waits for it; where none does, goes on at once, unless a gate has failed')
    .argument('<name>', 'name of the canary')
    .option('--now', 'also where approval is asked for: do not wait for time and volume')
    .action(run<{ readonly now?: boolean }>((session, { now = false }, [name = '']) => order(session, name, 'promote', { now }))));
  for (const [kind, description] of orders) {
    addApiOptions(canary.command(kind).description(description).argument('<name>', 'name of the canary').action(run((session, _options, [name = '']) => order(session, name, kind))));
  }
}

const orders = [
  ['pause', 'stays at the weight it has until it is resumed; a gate that fails reverts all the same'],
  ['resume', 'ends a pause'],
  ['abort', 'sets the Routes back to what they were before the canary, as a revision'],
] as const;

async function read(session: Session, name: string): Promise<CanaryStatusAnswer> {
  return (await session.api.call({ method: 'GET', path: `/v1/canaries/${encodeURIComponent(name)}/status` })).body as CanaryStatusAnswer;
}

async function shown(session: Session, name: string): Promise<void> {
  const status = await read(session, name);
  session.answer(status, () => canaryText(status, session));
}

/** Answers how it ended, for scripts. */
async function watched(session: Session, name: string): Promise<ExitCode> {
  const { terminal } = session;
  for (;;) {
    const status = await read(session, name);
    if (session.format === 'table' && terminal.outIsTerminal) terminal.out('\u001b[H\u001b[2J');
    session.answer(status, () => canaryText(status, session));
    if (status.phase === 'completed') return exitCodes.ok;
    if (status.phase === 'aborted' || status.phase === 'failed') return exitCodes.canaryReverted;
    await pause(refreshMs, terminal.signal);
    if (terminal.signal.aborted) return exitCodes.interrupted;
  }
}

async function order(session: Session, name: string, kind: string, body?: object): Promise<void> {
  const status = (await session.api.call({ method: 'POST', path: `/v1/canaries/${encodeURIComponent(name)}/${kind}`, ...(body !== undefined && { body }) })).body as CanaryStatusAnswer;
  session.answer(status, () => `${status.canary} ${phaseText(status)}: ${status.now.sentence}\n`);
}

function listText({ items }: CanaryListAnswer, { style, terminal }: Session): string {
  if (items.length === 0) return 'there are no canaries\n';
  const rows = items.map((one) => [
    style.name(one.canary), one.service, phaseText({ ...one, weight: null }), one.weight === null ? '-' : percentText(one.weight / 100), ageText(one.endedAt ?? one.startedAt, terminal.now()), one.blocked === '' ? one.now.sentence : style.warn(one.blocked),
  ]);
  return renderTable([{ title: 'CANARY' }, { title: 'SERVICE' }, { title: 'IS' }, { title: 'WEIGHT', align: 'right' }, { title: 'SINCE' }, { title: 'WHY' }], rows, style.faint);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
