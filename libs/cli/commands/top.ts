import type { Command } from 'commander';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';

/** `remora top`: requests, errors and latency of the last minutes. */
export function addTop(program: Command, run: Runner): void {
  const command = program
    .command('top')
    .description('show requests, errors and latency by sidecar, route and destination')
    .action(run(async (session) => {
      const { body } = await session.api.call({ method: 'GET', path: '/v1/telemetry/top' });
      session.answer(body, () => JSON.stringify(body));
    }));
  addApiOptions(command);
}
