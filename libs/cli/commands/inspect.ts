import { Argument } from 'commander';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { pastMoment } from '../past-moment.ts';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';

interface InspectOptions {
  readonly at?: string;
}

/** `remora inspect edge-1`: the snapshot that a sidecar should enforce, decoded; `history`: what it enforced when. */
export function addInspect(program: Command, run: Runner): void {
  const command = program
    .command('inspect')
    .description('show the snapshot of a sidecar, decoded, now or at an earlier revision; or its history')
    .argument('<id>', 'node id of the sidecar')
    .addArgument(new Argument('[what]', 'snapshot, or history').choices(['snapshot', 'history']).default('snapshot'))
    .option('--at <moment>', 'as compiled for a revision, or at a time such as 14:02, 30m (ago) or 2027-01-31T14:02:00Z')
    .action(
      run<InspectOptions>(async (session, options, [id = '', what = 'snapshot']) => {
        if (what === 'history' && options.at !== undefined) throw new CommandFailure(exitCodes.usage, '--at is of the snapshot; the history has all of them');
        const query = { at: pastMoment(options.at, session.terminal.now()) };
        const { body } = await session.api.call({ method: 'GET', path: `/v1/sidecars/${encodeURIComponent(id)}/${what}`, query });
        session.answer(body, () => stringify(body, { lineWidth: 0, aliasDuplicateObjects: false }));
      }),
    );
  addApiOptions(command);
}
