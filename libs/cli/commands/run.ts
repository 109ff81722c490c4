import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { RunningControlPlane } from '@remora/control-plane/running-control-plane';
import { openApi } from '../api-client.ts';
import type { ApiClient } from '../api-client.ts';
import type { WriteAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { readDocumentFiles } from '../document-files.ts';
import { loadInput } from '../document-input.ts';
import type { DocumentInput } from '../document-input.ts';
import { awaitEnforcing } from '../embedded/await-enforcing.ts';
import type { Door } from '../embedded/await-enforcing.ts';
import { startChild } from '../embedded/child-part.ts';
import type { ChildPart } from '../embedded/child-part.ts';
import { watchInputs } from '../embedded/folder-watch.ts';
import { chooseRole } from '../embedded/role.ts';
import { sidecarArguments } from '../embedded/sidecar-arguments.ts';
import { ApiProblem } from '../api-client.ts';
import { enforcementLine } from '../enforcement-text.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { failureText } from '../failure-text.ts';
import { integerOption } from '../integer-option.ts';
import { addOutputOption } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { collect } from './apply.ts';

interface RunOptions {
  readonly file: readonly string[];
  readonly port?: number;
  readonly host: string;
  readonly gateway?: string;
  readonly service?: string;
  readonly app?: string;
  readonly apiPort: number;
  readonly watch: boolean;
}

/** `remora run -f mesh/ --port 8000`: everything in one process tree, from a folder of documents. */
export function addRun(program: Command, run: Runner): void {
  const command = program
    .command('run')
    .description('run a control plane and one gateway (or one sidecar before an app) from a folder of documents, reloaded on change')
    .requiredOption('-f, --file <path>', 'file or folder; may be given several times', collect)
    .option('-p, --port <port>', 'where clients come in; a gateway: what its document says; a service: 8000', integerOption({ min: 0, max: 65_535 }))
    .option('--host <address>', 'address to bind', '127.0.0.1')
    .option('--gateway <name>', 'which Gateway to be; default: the only one')
    .option('--service <name>', 'be the sidecar of this Service instead')
    .option('--app <host:port>', 'with --service: where the app listens; default: the port of the Service on 127.0.0.1')
    .option('--api-port <port>', 'port of the API; 0 picks a free one', integerOption({ min: 0, max: 65_535 }), 0)
    .option('--no-watch', 'do not reload on change')
    .action(run<RunOptions>(runEmbedded));
  addOutputOption(command);
}

async function runEmbedded(session: Session, options: RunOptions): Promise<ExitCode> {
  if (options.file.includes('-')) throw new CommandFailure(exitCodes.usage, 'run reads files and folders, which it can read again; not standard input');
  const input = loadInput(await readDocumentFiles(options.file, session.terminal));
  if (input.violations.length > 0) throw new ApiProblem(422, { title: 'The documents cannot be read', violations: input.violations });
  const parts: ChildPart[] = [];
  const stopping = stopSignal(session);
  const dataDir = await mkdtemp(join(tmpdir(), 'remora-run-'));
  const killAll = (): void => parts.forEach((part) => part.killNow());
  process.once('exit', killAll);
  try {
    return await serve(session, options, { input, parts, stopping: stopping.promise, dataDir });
  } finally {
    stopping.close();
    for (const part of parts.toReversed()) await part.stop();
    process.removeListener('exit', killAll);
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface Running {
  readonly input: DocumentInput;
  readonly parts: ChildPart[];
  readonly stopping: Promise<'stopped'>;
  readonly dataDir: string;
}

async function serve(session: Session, options: RunOptions, running: Running): Promise<ExitCode> {
  const { input, parts, stopping, dataDir } = running;
  const role = chooseRole(input.documents.map(({ value }) => value), options);
  const { env } = session.terminal;
  let ending = false;
  // What parts say while they are told to stop is of no use to anybody.
  const onLine = (line: string): void => (ending ? undefined : session.remark(line));
  const controlPlane = await startControlPlaneHere(options.apiPort, onLine);
  const api = openApi({ server: `http://${controlPlane.api}`, author: 'remora run' });
  try {
    await applyInput(api, input, 0);
    const plan = { role, push: controlPlane.push, dataDir: join(dataDir, 'sidecar'), host: options.host, ...(options.port === undefined ? {} : { port: options.port }) };
    const sidecar = startChild({ name: role.kind === 'gateway' ? `gateway ${role.name}` : `sidecar of ${role.name}`, env, onLine, args: [...sidecarArguments(plan), '--log-level', 'warn', '--telemetry-interval', '1s'] });
    parts.push(sidecar);
    const { admin } = await sidecar.listening;
    const doors = await awaitEnforcing(api, String(admin), sidecar.ended);
    session.terminal.out(readyText(session, doors, { api: api.server, admin: String(admin), name: sidecar.name }));
    const watch = options.watch ? watchInputs(options.file, session.terminal, () => void reload(session, options, api)) : null;
    const how = await Promise.race([stopping, sidecar.ended]);
    watch?.close();
    if (how === 'stopped') return exitCodes.ok;
    throw new CommandFailure(exitCodes.serverFailed, how);
  } finally {
    ending = true;
    await api.close();
    for (const part of parts.toReversed()) await part.stop();
    await controlPlane.stop();
  }
}

/** The control plane runs in this process, on loopback: its store is this process's memory, and who may use this account may use it. */
async function startControlPlaneHere(apiPort: number, onLine: (line: string) => void): Promise<RunningControlPlane> {
  const [{ startControlPlane }, { readSettings }] = await Promise.all([import('@remora/control-plane/running-control-plane'), import('@remora/control-plane/settings/read-settings')]);
  const read = readSettings(['--store', 'memory', '--api-auth', 'off', '--api-port', String(apiPort), '--push-port', '0', '--log-level', 'warn'], {}, () => '');
  if (!read.ok) throw new CommandFailure(exitCodes.usage, read.problems.map(({ setting, message }) => `${setting}: ${message}`).join('; '));
  return startControlPlane(read.settings, { log: (line) => onLine(line.trimEnd()) });
}

function readyText(session: Session, doors: readonly Door[], facts: { readonly api: string; readonly admin: string; readonly name: string }): string {
  if (session.format !== 'table') {
    const ports = Object.fromEntries(doors.map(({ name, host, port }) => [name, `${host}:${port}`]));
    return `${JSON.stringify({ event: 'listening', api: facts.api, admin: facts.admin, ...ports })}\n`;
  }
  const places = doors.map(({ host, port }) => `http://${host}:${port}`).join(', ');
  return `${session.style.good('ready:')} ${facts.name} on ${places}\nAPI on ${facts.api}  (docs: ${facts.api}/docs)\n`;
}

/** What the documents do not have any more goes: they are the whole truth. */
async function applyInput(api: ApiClient, input: DocumentInput, waitMs: number): Promise<WriteAnswer> {
  const query = { prune: 'remora-run', message: 'remora run', ...(waitMs > 0 ? { wait: 'applied', timeout: `${waitMs}ms` } : {}) };
  try {
    return (await api.call({ method: 'POST', path: '/v1/apply', query, ...input.body, timeoutMs: waitMs + 30_000 })).body as WriteAnswer;
  } catch (error) {
    throw error instanceof ApiProblem ? input.withSourcesIn(error) : error;
  }
}

const reloadWaitMs = 10_000;

/** A change that is refused leaves everything as it is; the next one gets its try. */
async function reload(session: Session, options: RunOptions, api: ApiClient): Promise<void> {
  try {
    const input = loadInput(await readDocumentFiles(options.file, session.terminal));
    if (input.violations.length > 0) throw new ApiProblem(422, { title: 'The documents cannot be read; nothing was changed', violations: input.violations });
    const answer = await applyInput(api, input, reloadWaitMs);
    if (answer.enforcement === null) return;
    session.terminal.out(session.format === 'table' ? `${enforcementLine(answer.enforcement, session.style)}\n` : `${JSON.stringify({ event: 'applied', revision: answer.revision?.revision, enforcement: answer.enforcement.counts })}\n`);
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    session.terminal.err(failureText(error, session.errStyle));
  }
}

/** Ctrl-C, SIGTERM or the session's end. */
function stopSignal(session: Session): { readonly promise: Promise<'stopped'>; close(): void } {
  let stop: () => void = () => {};
  const promise = new Promise<'stopped'>((resolve) => { stop = () => resolve('stopped'); });
  process.once('SIGTERM', stop);
  session.terminal.signal.addEventListener('abort', stop, { once: true });
  return {
    promise,
    close() {
      process.removeListener('SIGTERM', stop);
      session.terminal.signal.removeEventListener('abort', stop);
    },
  };
}
