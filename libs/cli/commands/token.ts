import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { JoinTokenAnswer, NewJoinTokenAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { integerOption } from '../integer-option.ts';
import { readPages } from '../pages.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';

interface TokenOptions {
  readonly service?: string;
  readonly gateway?: string;
  readonly ttl?: string;
  readonly uses?: number;
}

/** `remora token create --service orders --ttl 1h`, `remora token list`, `remora token revoke ID`. */
export function addToken(program: Command, run: Runner): void {
  const command = program
    .command('token')
    .description('join tokens, which bring sidecars their first certificate: `token create --service orders`, `token list`, `token revoke ID`')
    .addArgument(wordArgument('<action>', 'create, list or revoke', ['create', 'list', 'revoke']))
    .argument('[id...]', 'with revoke: ids of tokens')
    .option('--service <name>', 'with create: for instances of this service')
    .option('--gateway <name>', 'with create: for instances of this gateway')
    .option('--ttl <time>', 'with create: how long it can be used, from 1m to 30d (1h)')
    .option('--uses <count>', 'with create: how many instances may join with it (1)', integerOption({ min: 1, max: 1_000 }))
    .action(
      run<TokenOptions>(async (session, options, [action = '', ...ids]) => {
        if (action === 'create' && ids.length === 0) return create(session, options);
        if (action === 'list' && ids.length === 0) return list(session);
        if (action === 'revoke' && ids.length > 0) return revoke(session, ids);
        throw new CommandFailure(exitCodes.usage, action === 'revoke' ? 'token revoke: which ids? `remora token list` shows them' : `token ${[action, ...ids].join(' ')}: expected token create, token list or token revoke ID`);
      }),
    );
  addApiOptions(command);
}

/** The token alone goes to standard output: `REMORA_JOIN_TOKEN=$(remora token create …)`. */
async function create(session: Session, { service, gateway, ttl, uses }: TokenOptions): Promise<void> {
  const made = (await session.api.call({ method: 'POST', path: '/v1/identity/tokens', body: { service, gateway, ttl, uses } })).body as NewJoinTokenAnswer;
  session.answer(made, () => `${made.token}\n`);
  const { subject, uses: allowed, expiresAt } = made.status;
  const instances = allowed === 1 ? 'one instance' : `${allowed} instances`;
  session.remark(`for ${instances} of ${subject}, until ${expiresAt}; it is shown this once. A sidecar takes it from REMORA_JOIN_TOKEN or --join-token-file.`);
}

async function list(session: Session): Promise<void> {
  const found = await readPages<JoinTokenAnswer>(session.api, { path: '/v1/identity/tokens', query: {}, cursor: 'after' });
  session.answer({ items: found }, () => listText(found, session));
}

function listText(found: readonly JoinTokenAnswer[], { style, terminal }: Session): string {
  if (found.length === 0) return 'no join tokens\n';
  const now = terminal.now();
  const rows = found.map((one) => [style.name(one.id), one.subject, one.state === 'good' ? style.good(one.state) : style.faint(one.state), `${one.used}/${one.uses}`, ageText(one.expiresAt, now), ageText(one.createdAt, now), one.author]);
  return renderTable(['TOKEN', 'FOR', 'STATE', 'USED', 'EXPIRES', 'CREATED', 'BY'].map((title) => ({ title })), rows, style.faint);
}

async function revoke(session: Session, ids: readonly string[]): Promise<void> {
  const revoked: JoinTokenAnswer[] = [];
  for (const id of ids) revoked.push((await session.api.call({ method: 'DELETE', path: `/v1/identity/tokens/${encodeURIComponent(id)}` })).body as JoinTokenAnswer);
  session.answer(revoked.length === 1 ? revoked[0] : { items: revoked }, () => revoked.map((one) => `${session.style.name(one.id)} revoked; ${one.used} of ${one.uses} uses were made, and who joined stays\n`).join(''));
}
