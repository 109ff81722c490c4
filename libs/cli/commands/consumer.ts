import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { ageText } from '../age-text.ts';
import type { CredentialAnswer, NewCredentialAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { addItemWaitOptions, untilEnforced } from '../item-enforcement.ts';
import type { ItemWaitOptions } from '../item-enforcement.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';

interface KeyOptions extends ItemWaitOptions {
  readonly kind: string;
  readonly ttl?: string;
  readonly replaces?: string;
  readonly overlap?: string;
  readonly user?: string;
  readonly keyId?: string;
  readonly issuer?: string;
  readonly algorithm?: string;
  readonly match?: string;
  readonly value?: string;
  readonly valueStdin?: boolean;
  readonly publicKeyFile?: string;
  readonly certificateFile?: string;
}

const kinds = ['apiKey', 'basic', 'hmac', 'jwt', 'certificate'];
const valueBytesMax = 8 * 1024;
const fileBytesMax = 256 * 1024;

/** `remora consumer key create NAME`, `… list NAME`, `… revoke NAME ID`, `… expire NAME ID`. */
export function addConsumer(program: Command, run: Runner): void {
  const command = program
    .command('consumer')
    .description('what proves API clients: `consumer key create NAME`, `consumer key list NAME`, `consumer key revoke NAME ID`, `consumer key expire NAME ID --ttl 7d`')
    .addArgument(wordArgument('<what>', 'key', ['key']))
    .addArgument(wordArgument('<action>', 'create, list, revoke or expire', ['create', 'list', 'revoke', 'expire']))
    .argument('[name...]', 'the Consumer; with revoke and expire ids of credentials after it')
    .addOption(new Option('--kind <kind>', 'with create: what it is').choices(kinds).default('apiKey'))
    .option('--ttl <time>', 'with create and expire: how long it is good (for ever)')
    .option('--replaces <id>', 'with create: a credential of the same kind that ends for this one')
    .option('--overlap <time>', 'with --replaces: how long both are good (1d)')
    .option('--user <name>', 'basic: the name to log in with (the Consumer\'s)')
    .option('--key-id <id>', 'hmac, jwt: what signatures call the key')
    .option('--issuer <name>', 'jwt: the issuer that its tokens name')
    .option('--algorithm <name>', 'hmac, jwt: its algorithm')
    .option('--public-key-file <file>', 'hmac, jwt: PEM of a public key, instead of a shared secret')
    .option('--certificate-file <file>', 'certificate: PEM of it')
    .option('--match <what>', 'certificate, without a file: fingerprint, uri, dns, email or subject')
    .option('--value <text>', 'certificate, with --match: what it says')
    .option('--value-stdin', 'a key, password or secret that exists already, from standard input');
  addItemWaitOptions(command)
    .action(
      run<KeyOptions>(async (session, options, [, action = '', name, ...ids]) => {
        if (name === undefined) throw new CommandFailure(exitCodes.usage, `consumer key ${action}: of which Consumer?`);
        if (action === 'create' && ids.length === 0) return create(session, name, options);
        if (action === 'list' && ids.length === 0) return list(session, name);
        if (action === 'revoke' && ids.length > 0) return revoke(session, name, ids, options);
        if (action === 'expire' && ids.length > 0) return expire(session, name, ids, options);
        throw new CommandFailure(exitCodes.usage, ids.length === 0 ? `consumer key ${action}: which ids? \`remora consumer key list ${name}\` shows them` : `consumer key ${action} ${name} ${ids.join(' ')}: expected one Consumer`);
      }),
    );
  addApiOptions(command);
}

function pathOf(name: string, rest: string): string {
  return `/v1/consumers/${encodeURIComponent(name)}/credentials${rest}`;
}

/** The secret alone goes to standard output: `KEY=$(remora consumer key create …)`. */
async function create(session: Session, name: string, options: KeyOptions): Promise<ExitCode> {
  const { kind, ttl, replaces, overlap, user, keyId, issuer, algorithm, match, valueStdin } = options;
  if (options.value !== undefined && kind !== 'certificate') throw new CommandFailure(exitCodes.usage, '--value is for what certificates say; others can read arguments: give secrets with --value-stdin');
  const given = valueStdin === true ? Buffer.from(await session.terminal.readStdin(valueBytesMax)).toString('utf8').replace(/\r?\n$/, '') : options.value;
  const body = {
    ttl, replaces, overlap, user, keyId, issuer, algorithm, match, value: given,
    publicKey: await fileOf(session, options.publicKeyFile), certificate: await fileOf(session, options.certificateFile),
  };
  const made = (await session.api.call({ method: 'POST', path: pathOf(name, `/${kind}`), body })).body as NewCredentialAnswer;
  session.answer(made, () => (made.secret === null || valueStdin === true ? '' : `${made.secret}\n`));
  const { id, known, expiresAt } = made.credential;
  const shown = made.secret === null || valueStdin === true ? '' : '; it is shown this once';
  session.remark(`${kind} ${id} (${known}) of ${name}${expiresAt === null ? '' : `, until ${expiresAt}`}${shown}`);
  if (made.replaces) session.remark(`${made.replaces.id} ends at ${made.replaces.expiresAt ?? ''}`);
  return untilEnforced(session, options, 'consumers');
}

async function fileOf({ terminal }: Session, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    const text = await readFile(path.resolve(terminal.cwd, file), 'utf8');
    if (text.length > fileBytesMax) throw new CommandFailure(exitCodes.usage, `${file} has more than ${fileBytesMax} bytes`);
    return text;
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure(exitCodes.usage, `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
}

async function list(session: Session, name: string): Promise<void> {
  const { items } = (await session.api.call({ method: 'GET', path: pathOf(name, '') })).body as { readonly items: readonly CredentialAnswer[] };
  session.answer({ items }, () => listText(items, session));
}

function listText(items: readonly CredentialAnswer[], { style, terminal }: Session): string {
  if (items.length === 0) return 'no credentials\n';
  const now = terminal.now();
  const rows = items.map((one) => [
    style.name(one.id), one.kind, one.issuer === null ? one.known : `${one.known} of ${one.issuer}`, one.state === 'good' ? style.good(one.state) : style.faint(one.state),
    one.expiresAt === null ? 'never' : ageText(one.expiresAt, now), ageText(one.createdAt, now), one.author,
  ]);
  return renderTable(['ID', 'KIND', 'KNOWN BY', 'STATE', 'EXPIRES', 'CREATED', 'BY'].map((title) => ({ title })), rows, style.faint);
}

async function revoke(session: Session, name: string, ids: readonly string[], options: KeyOptions): Promise<ExitCode> {
  const revoked: CredentialAnswer[] = [];
  for (const id of ids) revoked.push((await session.api.call({ method: 'DELETE', path: pathOf(name, `/${encodeURIComponent(id)}`) })).body as CredentialAnswer);
  session.answer(revoked.length === 1 ? revoked[0] : { items: revoked }, () => revoked.map((one) => `${session.style.name(one.id)} (${one.kind} ${one.known}) revoked\n`).join(''));
  return untilEnforced(session, options, 'consumers');
}

async function expire(session: Session, name: string, ids: readonly string[], options: KeyOptions): Promise<ExitCode> {
  const changed: CredentialAnswer[] = [];
  for (const id of ids) changed.push((await session.api.call({ method: 'PUT', path: pathOf(name, `/${encodeURIComponent(id)}/expiry`), body: { in: options.ttl ?? null } })).body as CredentialAnswer);
  session.answer(changed.length === 1 ? changed[0] : { items: changed }, () => changed.map((one) => `${session.style.name(one.id)} ${one.expiresAt === null ? 'does not end' : `ends at ${one.expiresAt}`}\n`).join(''));
  return untilEnforced(session, options, 'consumers');
}
