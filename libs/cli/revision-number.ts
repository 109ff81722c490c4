import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

/** `41` or `#41` → 41: a place in the log. */
export function revisionNumber(text: string | undefined): number {
  const match = /^#?(\d{1,15})$/.exec(text ?? '');
  if (match === null) throw new CommandFailure(exitCodes.usage, `${text ?? ''} is no revision number; \`remora history\` lists them`);
  return Number(match[1]);
}
