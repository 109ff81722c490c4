import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemClock, systemTimers } from '@remora/core/clock';
import { formatVersion } from '@remora/core/version';
import { readSettings } from './settings/read-settings.ts';
import { settingsHelp } from './settings/table.ts';
import { backupStore, restoreStore } from './store/backup.ts';
import { StartError } from './start-error.ts';
import { StoreError } from './store/store-error.ts';

/** What the process ends with. */
export const exitCode = { ok: 0, usage: 2, failed: 70, tryAgain: 75, cannotStart: 78 } as const;

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs a control plane until SIGTERM or SIGINT, or one of its commands; answers the exit code. */
export async function runControlPlane(argv: readonly string[], env: Environment): Promise<number> {
  const [word = ''] = argv;
  if (argv.includes('--help') || argv.includes('-h') || word === 'help') {
    process.stdout.write(settingsHelp());
    return exitCode.ok;
  }
  try {
    if (word === 'backup') return await runBackup(argv.slice(1));
    if (word === 'restore') return await runRestore(argv.slice(1), env);
    if (word === 'first-token') return await runFirstToken(argv.slice(1));
    return await serve(argv, env);
  } catch (error) {
    return report(error);
  }
}

async function serve(argv: readonly string[], env: Environment): Promise<number> {
  const read = readSettings(argv, env, (path) => readFileSync(path, 'utf8'));
  if (!read.ok) return complain(read.problems.map(({ setting, message }) => `${setting}: ${message}`));
  const stopped = stopSignal();
  // Whoever reads its output may go away: that is no reason to end.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {});
  // Only what serves needs the server's libraries.
  const { startControlPlane } = await import('./running-control-plane.ts');
  const running = await startControlPlane(read.settings, { log: (line) => process.stderr.write(line) });
  if (running.firstToken !== '') say({ event: 'first-token', token: running.firstToken, note: firstTokenNote });
  say({ event: 'listening', api: running.api, push: running.push, ...(running.enrolment === '' ? {} : { enrolment: running.enrolment }) });
  await stopped;
  await running.stop();
  say({ event: 'stopped' });
  return exitCode.ok;
}

/** Resolves at the first signal; a second one ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(exitCode.failed);
      asked = true;
      resolve();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}

async function runBackup(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { 'data-dir': { type: 'string' }, to: { type: 'string' } }, strict: true });
  const { 'data-dir': dataDir, to } = values;
  if (dataDir === undefined || to === undefined) return complain(['backup needs --data-dir DIR and --to FILE']);
  const { head } = await backupStore({ dataDir, to });
  say({ event: 'backup-made', file: to, version: formatVersion(head) });
  return exitCode.ok;
}

async function runRestore(argv: readonly string[], env: Environment): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { 'data-dir': { type: 'string' }, from: { type: 'string' } }, strict: true });
  const { 'data-dir': dataDir, from } = values;
  if (dataDir === undefined || from === undefined) return complain(['restore needs --data-dir DIR and --from FILE']);
  const { head } = await restoreStore({ dataDir, from, clock: systemClock, timers: systemTimers, author: env['USER'] ?? 'restore' });
  say({ event: 'restored', dataDir, version: formatVersion(head) });
  return exitCode.ok;
}

/** For who lost every administrator's token, and has the disk. Throws where a control plane runs on it. */
async function runFirstToken(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { 'data-dir': { type: 'string' } }, strict: true });
  const { 'data-dir': dataDir } = values;
  if (dataDir === undefined) return complain(['first-token needs --data-dir DIR']);
  const { makeFirstTokenOffline } = await import('./operators/offline-first-token.ts');
  const token = await makeFirstTokenOffline({ dataDir, clock: systemClock, timers: systemTimers });
  say({ event: 'first-token', token, note: firstTokenNote });
  return exitCode.ok;
}

const firstTokenNote = 'makes the first tokens and nothing else; it is shown this once: remora api-token create --name NAME --role admin';

function say(facts: Readonly<Record<string, string>>): void {
  process.stdout.write(`${JSON.stringify(facts)}\n`);
}

function complain(problems: readonly string[]): number {
  process.stderr.write(`${problems.map((text) => `control-plane: ${text}\n`).join('')}\`remora control-plane --help\` lists the settings.\n`);
  return exitCode.usage;
}

/** Another start can help: what is in use may be free then. */
const tryAgainCodes: ReadonlySet<string> = new Set(['store-locked', 'store-full', 'store-io']);

function report(error: unknown): number {
  const complaint = (text: string, code: number): number => {
    process.stderr.write(`control-plane: ${text}\n`);
    return code;
  };
  if (error instanceof StoreError) return complaint(`${error.message} [${error.code}]`, tryAgainCodes.has(error.code) ? exitCode.tryAgain : exitCode.cannotStart);
  if (error instanceof StartError) return complaint(error.message, error.kind === 'port' ? exitCode.tryAgain : exitCode.usage);
  const { code, message, stack } = error as { readonly code?: unknown; readonly message: string; readonly stack?: string };
  if (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS')) return complaint(message, exitCode.usage);
  return complaint(stack ?? message, exitCode.failed);
}
