import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { AuthorityAnswer, NodeCertificateAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { readPages } from '../pages.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';
import { rotate, type RotateOptions } from './ca-rotate.ts';

interface CaOptions extends RotateOptions {
  readonly pem?: boolean;
}

/** `remora ca show`: trust domain, roots, expiry, fingerprints; `remora ca certificates`: who has one; `remora ca rotate`: another authority, stage by stage. */
export function addCa(program: Command, run: Runner): void {
  const command = program
    .command('ca')
    .description('the certificate authority: `ca show`, who has a certificate: `ca certificates`, and its roll to another one: `ca rotate`')
    .addArgument(wordArgument('<action>', 'show, certificates or rotate', ['show', 'certificates', 'rotate']))
    .addArgument(wordArgument('[what]', 'with rotate: status, which is also what it says without an option', ['status']))
    .option('--pem', 'with show: the roots, as a bundle for other programs')
    .option('--start', 'with rotate: the next root counts from now on, beside the one that signs')
    .option('--next', 'with rotate: the next stage: the next root signs; then the old one goes')
    .option('--abort', 'with rotate: one stage back')
    .option('--window <time>', 'with --start: over which time instances renew their certificates, from 1s to 24h (10m)')
    .option('--force', 'with --next or --abort: also where it cuts instances off')
    .action(
      run<CaOptions>(async (session, options, [action = '', what]) => {
        if (action === 'rotate' && (what === undefined || what === 'status')) return rotate(session, options, what === 'status');
        if (action === 'show' && what === undefined) return show(session, options);
        if (action === 'certificates' && what === undefined) return certificates(session);
        throw new CommandFailure(exitCodes.usage, `ca ${action}${what === undefined ? '' : ` ${what}`}: expected ca show, ca certificates or ca rotate`);
      }),
    );
  addApiOptions(command);
}

async function show(session: Session, { pem }: CaOptions): Promise<void> {
  const authority = (await session.api.call({ method: 'GET', path: '/v1/identity/ca' })).body as AuthorityAnswer;
  session.answer(authority, () => (pem ? authority.roots.map((root) => root.pem).join('') : authorityText(authority, session)));
}

function authorityText(authority: AuthorityAnswer, { style, terminal }: Session): string {
  const now = terminal.now();
  const facts: [string, string][] = [
    ['authority', authority.source === 'files' ? `from files: ${authority.issuer.subject}` : 'made by this control plane'],
    ['key', authority.encrypted ? 'encrypted at rest, or not kept here' : style.bad('kept without encryption')],
    ['ends', `${authority.ends} (${ageText(authority.ends, now)})`],
    ['instances', String(authority.nodes)],
    ...authority.roots.flatMap((root): [string, string][] => [['root', root.subject], ['  SHA-256', root.fingerprint], ['  good', `${root.from} to ${root.ends}`]]),
  ];
  if (authority.problem !== null) facts.push(['problem', style.bad(authority.problem)]);
  return `${style.strong(authority.trustDomain)}\n${facts.map(([name, value]) => `  ${name.padEnd(12)}${value}\n`).join('')}`;
}

async function certificates(session: Session): Promise<void> {
  const found = await readPages<NodeCertificateAnswer>(session.api, { path: '/v1/identity/certificates', query: {}, cursor: 'after' });
  session.answer({ items: found }, () => certificatesText(found, session));
}

function certificatesText(found: readonly NodeCertificateAnswer[], { style, terminal }: Session): string {
  if (found.length === 0) return 'nobody has a certificate\n';
  const now = terminal.now();
  const rows = found.map((one) => {
    const ended = Date.parse(one.ends) <= now;
    return [style.name(one.nodeId), one.subject, one.how, ageText(one.issuedAt, now), ended ? style.bad(ageText(one.ends, now)) : ageText(one.ends, now), ended ? ageText(one.recoverUntil, now) : '-', one.token];
  });
  return renderTable(['INSTANCE', 'OF', 'BY', 'ISSUED', 'ENDS', 'RENEWABLE UNTIL', 'TOKEN'].map((title) => ({ title })), rows, style.faint);
}
