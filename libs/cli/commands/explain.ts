import type { Command } from 'commander';
import type { Json } from '@remora/core/canonical-json';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { pastMoment } from '../past-moment.ts';
import type { ExplainAnswer, FieldExplanation } from '../api-shapes.ts';
import type { Style } from '../style.ts';
import { valueText } from '../write-text.ts';

interface ExplainOptions {
  readonly service?: string;
  readonly gateway?: string;
  readonly route?: string;
  readonly caller?: string;
  readonly callerRoute?: string;
  readonly field?: string;
  readonly at?: string;
  readonly all?: boolean;
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
    .option('--caller-route <name>', 'where a gateway calls: of this route of it')
    .option('--field <pointer>', 'only what is at or under this pointer, e.g. /timeout/request')
    .option('--all', 'also fields that no policy sets, with their defaults; json and yaml always have them')
    .option('--at <moment>', 'as of a revision, or of a time such as 14:02, 30m (ago) or 2027-01-31T14:02:00Z')
    .action(run<ExplainOptions>(explain));
  addApiOptions(command);
}

async function explain(session: Session, options: ExplainOptions): Promise<void> {
  if ((options.service === undefined) === (options.gateway === undefined)) {
    throw new CommandFailure(exitCodes.usage, 'name one service or gateway: --service NAME or --gateway NAME');
  }
  const { service, gateway, route, field } = options;
  const at = pastMoment(options.at, session.terminal.now());
  const caller = options.caller === undefined || options.caller.includes('/') ? options.caller : `service/${options.caller}`;
  const answer = (await session.api.call({ method: 'GET', path: '/v1/explain', query: { service, gateway, route, caller, callerRoute: options.callerRoute, field, at, all: options.all === true || session.format !== 'table' ? 'true' : undefined } })).body as ExplainAnswer;
  session.answer(answer, () => explanationText(answer, session.style));
}

function explanationText(answer: ExplainAnswer, style: Style): string {
  if (answer.fields.length === 0) return `${placeText(answer)}: ${answer.defaults === 0 ? 'no policy and no default sets anything here' : `no policy sets anything here; ${defaultsText(answer)}`}\n`;
  const shadow = answer.sections.filter((section) => section.shadow).map((section) => section.kind);
  const remark = shadow.length === 0 ? '' : `${style.warn(`in shadow, not enforced: ${shadow.join(', ')}`)}\n`;
  return `${style.strong(placeText(answer))}\n${remark}${answer.fields.map((field) => fieldText(field, style)).join('')}${answer.defaults === 0 ? '' : `  ${style.faint(defaultsText(answer))}\n`}`;
}

function defaultsText({ defaults }: ExplainAnswer): string {
  return `${defaults} ${defaults === 1 ? 'field has its default' : 'fields have their defaults'} (--all)`;
}

function placeText({ place, revision }: ExplainAnswer): string {
  const route = place.route === undefined ? '' : `, route ${place.route}`;
  const caller = place.caller === undefined ? '' : `, called by ${place.caller.kind} ${place.caller.name}`;
  return `${place.owner.kind} ${place.owner.name}${route}${caller}, revision ${revision}`;
}

function fieldText(field: FieldExplanation, style: Style): string {
  const winner = field.winner === 'default' ? style.faint('default') : `${style.good(field.winner.policy)} ${style.faint(`target ${field.winner.target}`)}`;
  const losers = field.losers.map(({ policy, value }) => `      lost  ${valueText(value as Json)}  ${policy.policy} ${style.faint(`target ${policy.target}`)}\n`).join('');
  const bounds = field.bounds.map((bound) => `      bound ${bound.text} ${style.faint(`(${bound.policy})`)}\n`).join('');
  return `  ${style.name(field.pointer)} = ${style.strong(valueText(field.value as Json))}  ${winner}\n${losers}${bounds}      why   ${field.why}\n`;
}
