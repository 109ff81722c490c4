import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { WhyAnswer } from '../api-shapes.ts';
import { exitCodes } from '../exit-codes.ts';
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
        return answer.refusals.length === 0 ? exitCodes.notFound : exitCodes.ok;
      }),
    );
  addApiOptions(command);
}

function whyText(answer: WhyAnswer, style: Style, nowMs: number): string {
  const silence = answer.silent.length === 0 ? '' : `${style.warn(`did not answer: ${answer.silent.join(', ')}`)}\n`;
  if (answer.refusals.length === 0) return `no sidecar knows of a refusal of ${answer.requestId}; each keeps its last 1,000\n${silence}`;
  // What decided first: verdicts in shadow let the request pass, and a hop whose caller went away only followed.
  const weight = ({ shadow, status }: Hop): number => (shadow ? 2 : status === 0 ? 1 : 0);
  return answer.refusals.toSorted((a, b) => weight(a) - weight(b)).map((hop) => hopText(hop, style, nowMs)).join('') + silence;
}

type Hop = WhyAnswer['refusals'][number];

function hopText(hop: Hop, style: Style, nowMs: number): string {
  const verdict = hop.shadow ? style.warn('would have been refused (shadow)') : style.bad(hop.status === 0 ? 'broken off without an answer' : `refused with ${hop.status}`);
  const facts: [string, string][] = [
    ['reason', `${hop.reason}${hop.responseFlag === '' ? '' : ` (flag ${hop.responseFlag})`}`],
    ['policy', hop.kind === '' ? hop.policy : `${hop.policy === '' ? 'none, the default holds' : hop.policy}, kind ${hop.kind}`],
    ['field', hop.pointer],
    ['revision', hop.revision === null ? '' : `${hop.revision} by ${hop.author ?? 'unknown'}, ${ageText(hop.revisionAt, nowMs)}${hop.message === null || hop.message === '' ? '' : `: ${hop.message}`}`],
    ['snapshot', `revision ${hop.snapshot} was in force`],
    ['route', hop.route],
    ['destination', hop.destination],
    ['detail', hop.detail],
    ['trace', hop.traceId],
  ];
  const head = `${hop.method} ${hop.authority}${hop.path}: ${verdict} by ${style.name(hop.nodeId)} (${hop.subject}, ${hop.side}), ${ageText(hop.at, nowMs)}\n`;
  return head + facts.filter(([, value]) => value !== '').map(([name, value]) => `    ${name.padEnd(12)}${value}\n`).join('');
}
