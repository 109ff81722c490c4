import type { Command } from 'commander';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { renderTable } from '../table.ts';
import type { ExplainAnswer } from '../api-shapes.ts';
import { valueText } from '../write-text.ts';

interface ExplainOptions {
  readonly service?: string;
  readonly gateway?: string;
  readonly route?: string;
  readonly caller?: string;
  readonly field?: string;
  readonly at?: string;
}

/** `remora explain --service payments --caller batch --field /timeout`: per field value, winner, losers and why. */
export function addExplain(program: Command, run: Runner): void {
  const command = program
    .command('explain')
    .description('say per field which value holds, which policy won, which lost, and why')
    .option('--service <name>', 'settings of a service: what its sidecar enforces, and how it is called')
    .option('--gateway <name>', 'settings of a gateway')
    .option('--route <name>', 'of one of its routes')
    .option('--caller <name>', 'as this service (or gateway/NAME) calls it')
    .option('--field <pointer>', 'only what is at or under this pointer, e.g. /timeout/request')
    .option('--at <revision>', 'as of a revision')
    .action(run<ExplainOptions>(explain));
  addApiOptions(command);
}

async function explain(session: Session, options: ExplainOptions): Promise<void> {
  if ((options.service === undefined) === (options.gateway === undefined)) {
    throw new CommandFailure(exitCodes.usage, 'name one service or gateway: --service NAME or --gateway NAME');
  }
  const { service, gateway, route, caller, field, at } = options;
  const answer = (await session.api.call({ method: 'GET', path: '/v1/explain', query: { service, gateway, route, caller, field, at } })).body as ExplainAnswer;
  session.answer(answer, () => JSON.stringify(answer));
}
