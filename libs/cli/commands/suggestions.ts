import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { SuggestionListAnswer } from '../api-shapes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';

interface SuggestionOptions {
  readonly service?: string;
  readonly since?: string;
}

/** `remora suggestions`: hosts that services call and do not declare. */
export function addSuggestions(program: Command, run: Runner): void {
  const command = program
    .command('suggestions')
    .description('hosts that services call and do not declare in dependsOn')
    .option('--service <name>', 'only of this service')
    .option('--since <time>', 'how long ago, at most 24h (24h)')
    .action(
      run<SuggestionOptions>(async (session, { service, since }) => {
        const answer = (await session.api.call({ method: 'GET', path: '/v1/suggestions', query: { ...(service !== undefined && { service }), ...(since !== undefined && { since }) } })).body as SuggestionListAnswer;
        session.answer(answer, () => listText(answer, session));
      }),
    );
  addApiOptions(command);
}

function listText({ items }: SuggestionListAnswer, { style, terminal }: Session): string {
  if (items.length === 0) return 'nobody called a host that is not declared\n';
  const rows = items.map(({ service, host, requests, lastAt, dependsOn }) => [
    style.name(service), host, requests.toLocaleString('en'), ageText(lastAt, terminal.now()), dependsOn === null ? '-' : `dependsOn: [${dependsOn}]`,
  ]);
  return renderTable([{ title: 'SERVICE' }, { title: 'CALLED' }, { title: 'REQUESTS', align: 'right' }, { title: 'LAST' }, { title: 'WOULD DECLARE IT' }], rows, style.faint);
}
