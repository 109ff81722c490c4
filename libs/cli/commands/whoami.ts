import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { WhoamiAnswer } from '../api-shapes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';

/** `remora whoami`: who the control plane takes one for, and what that may do. */
export function addWhoami(program: Command, run: Runner): void {
  const command = program
    .command('whoami')
    .description('show who you are for the control plane, and what you may do')
    .action(
      run(async (session) => {
        const me = (await session.api.call({ method: 'GET', path: '/v1/whoami' })).body as WhoamiAnswer;
        session.answer(me, () => whoamiText(me, session));
      }),
    );
  addApiOptions(command);
}

function whoamiText(me: WhoamiAnswer, { style, terminal, api }: Session): string {
  if (me.authentication === 'off') return `${style.name(me.name)}, unproven: ${api.server} asks nobody who they are, and everybody may do everything\n`;
  const facts: [string, string][] = [['known by', me.kind === 'user' ? `the issuer: ${me.id}` : `the token ${me.id}`], ['in the history', me.author], ['may', grantsText(me)], ['until', me.expiresAt === null ? '-' : `${me.expiresAt} (${ageText(me.expiresAt, terminal.now())})`]];
  return `${style.strong(me.name)} at ${api.server}\n${facts.map(([name, value]) => `  ${name.padEnd(16)}${value}\n`).join('')}`;
}

/** `viewer of everything; editor of service/orders`. */
export function grantsText({ kind, grants }: WhoamiAnswer): string {
  if (kind === 'first') return 'make the first tokens: `remora api-token create --name NAME --role admin`';
  return grants.map(({ role, subjects }) => `${role} of ${subjects === null ? 'everything' : subjects.join(', ')}`).join('; ');
}
