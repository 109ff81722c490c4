import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { RevocationAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { addItemWaitOptions, untilEnforced } from '../item-enforcement.ts';
import type { ItemWaitOptions } from '../item-enforcement.ts';
import { readPages } from '../pages.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';

interface IdentityOptions extends ItemWaitOptions {
  readonly service?: string;
  readonly gateway?: string;
  readonly reason?: string;
}

/** `remora identity revoke orders-1 --reason TEXT`, `remora identity revocations`, `remora identity lift ID`. */
export function addIdentity(program: Command, run: Runner): void {
  const command = program
    .command('identity')
    .description('revoke certificates: `identity revoke NODE --reason TEXT`, `identity revocations`, `identity lift ID`')
    .addArgument(wordArgument('<action>', 'revoke, revocations or lift', ['revoke', 'revocations', 'lift']))
    .argument('[id...]', 'with revoke: node ids; with lift: ids of revocations')
    .option('--service <name>', 'with revoke: every instance of this service')
    .option('--gateway <name>', 'with revoke: every instance of this gateway')
    .option('--reason <text>', 'with revoke: why, for whoever asks later');
  addItemWaitOptions(command)
    .action(
      run<IdentityOptions>(async (session, options, [action = '', ...ids]) => {
        if (action === 'revoke') return revoke(session, options, ids);
        if (action === 'revocations' && ids.length === 0) return list(session);
        if (action === 'lift' && ids.length > 0) return lift(session, ids, options);
        throw new CommandFailure(exitCodes.usage, action === 'lift' ? 'identity lift: which ids? `remora identity revocations` shows them' : `identity ${[action, ...ids].join(' ')}: expected identity revoke NODE, identity revocations or identity lift ID`);
      }),
    );
  addApiOptions(command);
}

async function revoke(session: Session, options: IdentityOptions, ids: readonly string[]): Promise<ExitCode> {
  const { service, gateway, reason } = options;
  const whole = service !== undefined || gateway !== undefined;
  if (whole === ids.length > 0) throw new CommandFailure(exitCodes.usage, 'identity revoke: whom? Node ids, or --service or --gateway for every instance');
  if (reason === undefined) throw new CommandFailure(exitCodes.usage, 'identity revoke: --reason is needed, for whoever asks later');
  const wanted = whole ? [{ service, gateway, reason }] : ids.map((nodeId) => ({ nodeId, reason }));
  const items: RevocationAnswer[] = [];
  for (const body of wanted) items.push((await session.api.call({ method: 'POST', path: '/v1/identity/revocations', body })).body as RevocationAnswer);
  session.answer({ items }, () => listText(items, session));
  const code = await untilEnforced(session, options, 'revocations');
  session.remark('a join token made from now on lets an instance in again: `remora token create`');
  return code;
}

async function list(session: Session): Promise<void> {
  const found = await readPages<RevocationAnswer>(session.api, { path: '/v1/identity/revocations', query: {}, cursor: 'after' });
  session.answer({ items: found }, () => listText(found, session));
}

async function lift(session: Session, ids: readonly string[], options: IdentityOptions): Promise<ExitCode> {
  const items: RevocationAnswer[] = [];
  for (const id of ids) items.push((await session.api.call({ method: 'DELETE', path: `/v1/identity/revocations/${encodeURIComponent(id)}` })).body as RevocationAnswer);
  session.answer({ items }, () => items.map(({ subject, nodeId }) => `${nodeId ?? subject} is not revoked any more\n`).join(''));
  return untilEnforced(session, options, 'revocations');
}

function listText(found: readonly RevocationAnswer[], { style, terminal }: Session): string {
  if (found.length === 0) return 'nothing is revoked\n';
  const now = terminal.now();
  const rows = found.map((one) => [style.name(one.id), one.nodeId ?? 'every instance', one.subject, ageText(one.revokedAt, now), ageText(one.ends, now), one.author, one.reason]);
  return renderTable(['REVOCATION', 'INSTANCE', 'OF', 'REVOKED', 'ENDS', 'BY', 'REASON'].map((title) => ({ title })), rows, style.faint);
}
