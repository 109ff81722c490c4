import { parseDurationMs } from '@remora/core/units';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

const dayMs = 86_400_000;

/**
 * What `--at` names, as the API reads it: a revision (`41`), how long ago (`30m`), a time of the day on this machine's clock
 * (`14:02`, `14:02:30`: the last time it was that late), or an instant (`2027-01-31T14:02:00Z`).
 */
export function pastMoment(text: string | undefined, nowMs: number): string | undefined {
  if (text === undefined) return undefined;
  const revision = /^#?(\d{1,15})$/.exec(text);
  if (revision !== null) return revision[1];
  const agoMs = parseDurationMs(text);
  if (agoMs !== null) return new Date(nowMs - agoMs).toISOString();
  const clock = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(text);
  if (clock !== null) return lastTimeOfDay(clock.slice(1).map((part) => Number(part ?? 0)), nowMs);
  const instant = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(instant)) throw new CommandFailure(exitCodes.usage, `--at: ${text} is neither a revision such as 41, nor a time such as 14:02, 30m (ago) or 2027-01-31T14:02:00Z`);
  return new Date(instant).toISOString();
}

function lastTimeOfDay([hours = 0, minutes = 0, seconds = 0]: readonly number[], nowMs: number): string {
  const at = new Date(nowMs).setHours(hours, minutes, seconds, 0);
  return new Date(at <= nowMs ? at : new Date(nowMs - dayMs).setHours(hours, minutes, seconds, 0)).toISOString();
}
