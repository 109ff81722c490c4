import { ageText } from '../age-text.ts';
import type { RotationAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Session } from '../session.ts';
import { renderTable } from '../table.ts';

export interface RotateOptions {
  readonly start?: boolean;
  readonly next?: boolean;
  readonly abort?: boolean;
  readonly window?: string;
  readonly force?: boolean;
}

const path = '/v1/identity/ca/rotation';

/** `remora ca rotate`: where a roll of the authority is, and who stands in the way; with an option, one stage on or back. */
export async function rotate(session: Session, options: RotateOptions, onlyStatus: boolean): Promise<void> {
  const actions = (['start', 'next', 'abort'] as const).filter((each) => options[each]);
  const [action] = actions;
  if (actions.length > 1 || (onlyStatus && action)) throw new CommandFailure(exitCodes.usage, 'ca rotate: expected one of --start, --next and --abort, or status');
  if (options.window !== undefined && action !== 'start') throw new CommandFailure(exitCodes.usage, 'ca rotate: --window goes with --start');
  if (options.force && (!action || action === 'start')) throw new CommandFailure(exitCodes.usage, 'ca rotate: --force goes with --next and --abort');
  const body = { action, window: options.window, force: options.force };
  const answer = (await session.api.call(action ? { method: 'POST', path, body } : { method: 'GET', path })).body as RotationAnswer;
  session.answer(answer, () => statusText(answer, session));
}

const stages = {
  none: 'nothing rolls; `remora ca rotate --start` begins',
  add: 'add: the next root counts beside the one that signs',
  sign: 'sign: the next root signs, the one before counts on',
} as const;

function statusText(status: RotationAnswer, session: Session): string {
  const { style, terminal } = session;
  const now = terminal.now();
  const share = (count: number): string => (count === status.total ? style.good(`${count} of ${status.total}`) : style.bad(`${count} of ${status.total}`));
  const lines = [
    style.strong(stages[status.stage]),
    ...(status.changedAt === null ? [] : [`  since         ${ageText(status.changedAt, now)}, renewals within ${status.window}`]),
    `  signs         ${status.signs.slice(0, 16)}`,
    `  counts        ${status.roots.map((root) => root.slice(0, 16)).join(', ')}`,
    `  ${share(status.holdBundle)} hold ${status.stage === 'add' ? 'the new root' : 'the roots that count'}`,
    `  ${share(status.ofSigner)} have a certificate of the root that signs`,
    ...(status.oldTokens > 0 ? [`  ${status.oldTokens} join tokens name only the root that goes`] : []),
    ...adviceOf(status),
  ];
  return `${lines.join('\n')}\n${laggardsText(status, session)}`;
}

function adviceOf({ stage, holdBundle, ofSigner, total }: RotationAnswer): readonly string[] {
  if (stage === 'none') return [];
  const ready = holdBundle === total && (stage === 'add' || ofSigner === total);
  return [ready ? `  \`remora ca rotate --next\` ${stage === 'add' ? 'lets the next root sign' : 'retires the old root'}` : '  waiting for the instances below'];
}

const listed = 20;

function laggardsText({ stage, laggards, laggardCount }: RotationAnswer, { style, terminal }: Session): string {
  if (stage === 'none' || laggards.length === 0) return '';
  const now = terminal.now();
  const rows = laggards.slice(0, listed).map((one) => [
    style.name(one.nodeId), one.subject, one.lacks === 'bundle' ? 'the roots that count' : 'a certificate of the root that signs',
    one.connected ? 'connected' : one.lastSeen === '' ? 'never seen' : `offline, seen ${ageText(one.lastSeen, now)}`,
  ]);
  const more = laggardCount > listed ? `and ${laggardCount - listed} more\n` : '';
  return `${renderTable(['INSTANCE', 'OF', 'LACKS', 'IS'].map((title) => ({ title })), rows, style.faint)}${more}`;
}
