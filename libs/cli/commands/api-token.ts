import type { Command } from 'commander';
import { Option } from 'commander';
import { ageText } from '../age-text.ts';
import type { ApiTokenAnswer, NewApiTokenAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { readPages } from '../pages.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';
import { collect } from './apply.ts';

interface ApiTokenOptions {
  readonly name?: string;
  readonly role?: string;
  readonly service?: readonly string[];
  readonly gateway?: readonly string[];
  readonly ttl?: string;
}

/** `remora api-token create --name ci --role editor --service orders`, `list`, `revoke ID`. */
export function addApiToken(program: Command, run: Runner): void {
  const command = program
    .command('api-token')
    .description('tokens of people and programs at the API: `api-token create --name ci --role editor`, `api-token list`, `api-token revoke ID`')
    .addArgument(wordArgument('<action>', 'create, list or revoke', ['create', 'list', 'revoke']))
    .argument('[id...]', 'with revoke: ids of tokens')
    .option('--name <name>', 'with create: what it is called; the history names it `token:<name>`')
    .addOption(new Option('--role <role>', 'with create: what it may do').choices(['viewer', 'editor', 'admin']))
    .option('--service <name>', 'with create: only for this service; may be given several times', collect)
    .option('--gateway <name>', 'with create: only for this gateway; may be given several times', collect)
    .option('--ttl <time>', 'with create: how long it is good, from 1m to 366d (30d)')
    .action(
      run<ApiTokenOptions>(async (session, options, [action = '', ...ids]) => {
        if (action === 'create' && ids.length === 0) return create(session, options);
        if (action === 'list' && ids.length === 0) return list(session);
        if (action === 'revoke' && ids.length > 0) return revoke(session, ids);
        throw new CommandFailure(exitCodes.usage, action === 'revoke' ? 'api-token revoke: which ids? `remora api-token list` shows them' : `api-token ${[action, ...ids].join(' ')}: expected api-token create, api-token list or api-token revoke ID`);
      }),
    );
  addApiOptions(command);
}

/** The token alone goes to standard output: `REMORA_TOKEN=$(remora api-token create …)`. */
async function create(session: Session, { name, role, service, gateway, ttl }: ApiTokenOptions): Promise<void> {
  if (name === undefined || role === undefined) throw new CommandFailure(exitCodes.usage, 'api-token create: needs --name and --role');
  const made = (await session.api.call({ method: 'POST', path: '/v1/api-tokens', body: { name, role, services: service, gateways: gateway, ttl } })).body as NewApiTokenAnswer;
  session.answer(made, () => `${made.token}\n`);
  const { status, unknown } = made;
  session.remark(`${status.role} of ${status.subjects === null ? 'everything' : status.subjects.join(', ')}, until ${status.expiresAt}; it is shown this once. Commands take it from REMORA_TOKEN, or \`remora login --token-stdin\`.`);
  if (unknown.length > 0) session.remark(`${unknown.join(', ')}: there is no such document yet`);
}

async function list(session: Session): Promise<void> {
  const found = await readPages<ApiTokenAnswer>(session.api, { path: '/v1/api-tokens', query: {}, cursor: 'after' });
  session.answer({ items: found }, () => listText(found, session));
}

function listText(found: readonly ApiTokenAnswer[], { style, terminal }: Session): string {
  if (found.length === 0) return 'no API tokens\n';
  const now = terminal.now();
  const rows = found.map((one) => [
    style.name(one.id), one.name, one.role, one.subjects === null ? 'everything' : one.subjects.join(' '), one.state === 'good' ? style.good(one.state) : style.faint(one.state),
    ageText(one.expiresAt, now), one.lastUsed === null ? 'never' : `${ageText(one.lastUsed.at, now)} from ${one.lastUsed.address}`, one.author,
  ]);
  return renderTable(['TOKEN', 'NAME', 'ROLE', 'FOR', 'STATE', 'EXPIRES', 'LAST USED', 'BY'].map((title) => ({ title })), rows, style.faint);
}

async function revoke(session: Session, ids: readonly string[]): Promise<void> {
  const revoked: ApiTokenAnswer[] = [];
  for (const id of ids) revoked.push((await session.api.call({ method: 'DELETE', path: `/v1/api-tokens/${encodeURIComponent(id)}` })).body as ApiTokenAnswer);
  session.answer(revoked.length === 1 ? revoked[0] : { items: revoked }, () => revoked.map((one) => `${session.style.name(one.id)} (${one.name}) revoked\n`).join(''));
}
