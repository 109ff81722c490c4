import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { WhyAnswer, WhyRefusal } from '../api-shapes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';
import type { Style } from '../style.ts';

/** `remora why <request id>`: which hop refused a request, by which field of which policy, and whose edit that was. */
export function addWhy(program: Command, run: Runner): void {
  const command = program
    .command('why')
    .description('say what refused a request: hop, reason, policy, field, revision, author')
    .argument('<request-id>', 'the x-request-id of the answer')
    .action(
      run(async (session, _options, [id = '']) => {
        const answer = (await session.api.call({ method: 'GET', path: `/v1/why/${encodeURIComponent(id)}` })).body as WhyAnswer;
        session.answer(answer, () => whyText(answer, session.style, session.terminal.now()));
      }),
    );
  addApiOptions(command);
}

function whyText(answer: WhyAnswer, style: Style, nowMs: number): string {
  const silent = answer.silent ?? [];
  const silence = silent.length === 0 ? '' : `${style.warn(`did not answer: ${silent.join(', ')}`)}\n`;
  if (answer.refusals.length === 0) return `no sidecar remembers a refusal of ${answer.requestId}\n${silence}`;
  return answer.refusals.map((refusal) => refusalText(refusal, style, nowMs)).join('') + silence;
}

function refusalText(refusal: WhyRefusal, style: Style, nowMs: number): string {
  const verdict = refusal.shadow === true ? style.warn('would have been refused (shadow)') : style.bad(`refused with ${refusal.status}`);
  const lines = [
    `${refusal.method} ${refusal.authority}${refusal.path}: ${verdict} by ${style.name(refusal.nodeId)} (${refusal.subject}, ${refusal.side}), ${ageText(refusal.at, nowMs)}`,
    row('reason', `${refusal.reason}${present(refusal.responseFlag) ? ` (flag ${refusal.responseFlag})` : ''}`),
  ];
  if (present(refusal.policy)) lines.push(row('policy', `${refusal.policy}${present(refusal.kind) ? `, kind ${refusal.kind}` : ''}`));
  if (present(refusal.pointer)) lines.push(row('field', refusal.pointer));
  if (present(refusal.route)) lines.push(row('route', refusal.route));
  if (present(refusal.destination)) lines.push(row('destination', refusal.destination));
  if (typeof refusal.revision === 'number') lines.push(row('revision', `${refusal.revision} by ${refusal.author ?? 'unknown'}${present(refusal.message) ? `: ${refusal.message}` : ''}`));
  if (refusal.snapshot !== undefined) lines.push(row('snapshot', String(refusal.snapshot)));
  if (present(refusal.detail)) lines.push(row('detail', refusal.detail));
  return lines.map((line) => `${line}\n`).join('');
}

function row(name: string, value: string): string {
  return `    ${name.padEnd(12)}${value}`;
}

function present(text: string | null | undefined): text is string {
  return text !== undefined && text !== null && text !== '';
}
