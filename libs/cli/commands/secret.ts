import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { SecretAnswer, SecretRekeyAnswer } from '../api-shapes.ts';
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

interface SecretOptions extends ItemWaitOptions {
  readonly fromFile?: readonly string[];
  readonly fromEnv?: string;
  readonly fromVault?: string;
  readonly fromHostFile?: string;
  readonly fromHostEnv?: string;
}

const valueBytesMax = 128 * 1024;

/** `remora secret set NAME`, `… list`, `… show NAME`, `… delete NAME`, `… rekey`. */
export function addSecret(program: Command, run: Runner): void {
  const command = program
    .command('secret')
    .description('values that documents refer to by name, written and never read back: `secret set NAME --from-file cert.pem --from-file key.pem`, `secret list`, `secret delete NAME`, `secret rekey`')
    .addArgument(wordArgument('<action>', 'set, list, show, delete or rekey', ['set', 'list', 'show', 'delete', 'rekey']))
    .argument('[name...]', 'names of Secrets')
    .option('--from-file <file>', 'with set: the content of a file here; several are joined (default: standard input)', (file: string, files: readonly string[] | undefined) => [...(files ?? []), file])
    .option('--from-env <variable>', 'with set: a variable of the environment here')
    .option('--from-vault <path>', 'with set: MOUNT/PATH#FIELD of HashiCorp Vault, read by the control plane now and at intervals')
    .option('--from-host-file <name>', 'with set: a file of --secrets-dir on the control plane\'s host, read at intervals')
    .option('--from-host-env <variable>', 'with set: a variable REMORA_SECRET_… of the control plane, read at intervals');
  addItemWaitOptions(command)
    .action(
      run<SecretOptions>(async (session, options, [action = '', ...names]) => {
        const [name] = names;
        if (action === 'list' && names.length === 0) return list(session);
        if (action === 'rekey' && names.length === 0) return rekey(session);
        if (action === 'set' && name !== undefined && names.length === 1) return set(session, name, options);
        if (action === 'show' && name !== undefined && names.length === 1) return show(session, name);
        if (action === 'delete' && names.length > 0) return remove(session, names);
        throw new CommandFailure(exitCodes.usage, `secret ${[action, ...names].join(' ')}: expected secret set NAME, secret list, secret show NAME, secret delete NAME or secret rekey`);
      }),
    );
  addApiOptions(command);
}

function pathOf(name: string): string {
  return `/v1/secrets/${encodeURIComponent(name)}`;
}

async function set(session: Session, name: string, options: SecretOptions): Promise<ExitCode> {
  const body = await bodyOf(session, options);
  const status = (await session.api.call({ method: 'PUT', path: pathOf(name), body })).body as SecretAnswer;
  session.answer(status, () => `${session.style.name(name)} is set: version ${status.version}, ${status.bytes} bytes, ${status.usedBy.length === 0 ? 'used by nobody yet' : `sent to ${status.usedBy.join(', ')}`}\n`);
  return untilEnforced(session, options, 'secrets');
}

/** Exactly one source; values never stand in arguments, which others can read. */
async function bodyOf(session: Session, { fromFile, fromEnv, fromVault, fromHostFile, fromHostEnv }: SecretOptions): Promise<object> {
  if ([fromFile, fromEnv, fromVault, fromHostFile, fromHostEnv].filter((one) => one !== undefined).length > 1) throw new CommandFailure(exitCodes.usage, 'secret set: from where? Give one of --from-file, --from-env, --from-vault, --from-host-file, --from-host-env');
  if (fromVault !== undefined) return { vault: vaultOf(fromVault) };
  if (fromHostFile !== undefined) return { file: fromHostFile };
  if (fromHostEnv !== undefined) return { environment: fromHostEnv };
  const value = fromEnv !== undefined ? variableOf(session, fromEnv) : fromFile !== undefined ? await filesOf(session, fromFile) : Buffer.from(await session.terminal.readStdin(valueBytesMax));
  if (value.length === 0) throw new CommandFailure(exitCodes.usage, 'secret set: the value is empty');
  if (value.length > valueBytesMax) throw new CommandFailure(exitCodes.usage, `secret set: the value has ${value.length} bytes, at most ${valueBytesMax} are possible`);
  return { base64: value.toString('base64') };
}

function vaultOf(text: string): object {
  const match = /^([^/#]+)\/([^#]+)#(.+)$/.exec(text);
  if (match === null) throw new CommandFailure(exitCodes.usage, `--from-vault ${text}: expected MOUNT/PATH#FIELD, such as secret/edge/tls#pem`);
  return { mount: match[1], path: match[2], field: match[3] };
}

function variableOf({ terminal }: Session, name: string): Buffer {
  const value = terminal.env[name];
  if (value === undefined || value === '') throw new CommandFailure(exitCodes.usage, `--from-env ${name}: the environment has no such variable`);
  return Buffer.from(value);
}

async function filesOf({ terminal }: Session, files: readonly string[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (const file of files) {
    try {
      parts.push(await readFile(path.resolve(terminal.cwd, file)));
    } catch (error) {
      throw new CommandFailure(exitCodes.usage, `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
    }
  }
  return parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts.flatMap((part) => (part.at(-1) === 0x0a ? [part] : [part, Buffer.from('\n')])));
}

async function list(session: Session): Promise<void> {
  const found = await readPages<SecretAnswer>(session.api, { path: '/v1/secrets', query: {}, cursor: 'after' });
  session.answer({ items: found }, () => listText(found, session));
}

function listText(found: readonly SecretAnswer[], { style, terminal }: Session): string {
  if (found.length === 0) return 'no Secrets\n';
  const now = terminal.now();
  const rows = found.map((one) => [
    style.name(one.name), one.state === 'good' ? style.good(one.state) : style.bad(one.state), one.version, one.bytes === 0 ? '' : String(one.bytes), one.changedAt === null ? '' : ageText(one.changedAt, now), one.source, usesOf(one),
  ]);
  return renderTable(['SECRET', 'STATE', 'VERSION', 'BYTES', 'CHANGED', 'FROM', 'USED BY'].map((title) => ({ title })), rows, style.faint);
}

function usesOf({ usedBy, referredBy }: SecretAnswer): string {
  const names = usedBy.length > 0 ? usedBy : referredBy;
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
}

async function show(session: Session, name: string): Promise<void> {
  const one = (await session.api.call({ method: 'GET', path: pathOf(name) })).body as SecretAnswer;
  session.answer(one, () => `${listText([one], session)}${one.problem === null ? '' : `${one.problem}\n`}${one.referredBy.length === 0 ? '' : `named by ${one.referredBy.join(', ')}\n`}`);
}

async function remove(session: Session, names: readonly string[]): Promise<void> {
  const gone: SecretAnswer[] = [];
  for (const name of names) gone.push((await session.api.call({ method: 'DELETE', path: pathOf(name) })).body as SecretAnswer);
  session.answer(gone.length === 1 ? gone[0] : { items: gone }, () => gone.map(({ name }) => `${session.style.name(name)} deleted\n`).join(''));
}

async function rekey(session: Session): Promise<void> {
  const counts = (await session.api.call({ method: 'POST', path: '/v1/secrets-rekey' })).body as SecretRekeyAnswer;
  session.answer(counts, () => `sealed anew: ${counts.secrets} Secrets, ${counts.credentials} credentials\n`);
  session.remark(counts.encrypted ? 'the previous encryption key is not needed for them any more' : 'this control plane keeps them WITHOUT encryption (--key-storage plain)');
}
