import type { Command } from 'commander';
import type { WhyAnswer } from '../api-shapes.ts';
import { exitCodes } from '../exit-codes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';
import { whyText } from '../why-text.ts';

/** `remora why <request id>`: which hop refused a request or made it fail, which hosts it tried and left out, by which field of which policy, and whose edit that was. */
export function addWhy(program: Command, run: Runner): void {
  const command = program
    .command('why')
    .description('say what refused a request or made it fail: the chain of hops, hosts tried and left out, policy, field, revision, author')
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
