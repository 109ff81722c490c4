import { Command, CommanderError } from 'commander';
import { CommandFailure } from './command-failure.ts';
import { failureText } from './failure-text.ts';
import { exitCodeMeanings, exitCodes } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { formatValue, runnerFor } from './session.ts';
import type { OutputFormat, Runner } from './session.ts';
import { styleFor } from './style.ts';
import { processTerminal } from './terminal.ts';
import type { Terminal } from './terminal.ts';
import { addApiToken } from './commands/api-token.ts';
import { addApply } from './commands/apply.ts';
import { addAudit } from './commands/audit.ts';
import { addBackup } from './commands/backup.ts';
import { addCa } from './commands/ca.ts';
import { addCan } from './commands/can.ts';
import { addCanary } from './commands/canary.ts';
import { addCompletion } from './commands/completion.ts';
import { addConsumer } from './commands/consumer.ts';
import { addControlPlane } from './commands/control-plane.ts';
import { addDelete } from './commands/delete.ts';
import { addDiff } from './commands/diff.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEvents } from './commands/events.ts';
import { addExplain } from './commands/explain.ts';
import { addGet } from './commands/get.ts';
import { addHistory } from './commands/history.ts';
import { addIdentity } from './commands/identity.ts';
import { addInspect } from './commands/inspect.ts';
import { addLogin } from './commands/login.ts';
import { addLogout } from './commands/logout.ts';
import { addRestore } from './commands/restore.ts';
import { addRestoreTo } from './commands/restore-to.ts';
import { addRevert } from './commands/revert.ts';
import { addRun } from './commands/run.ts';
import { addSecret } from './commands/secret.ts';
import { addSidecar } from './commands/sidecar.ts';
import { addSidecars } from './commands/sidecars.ts';
import { addTap } from './commands/tap.ts';
import { addToken } from './commands/token.ts';
import { addBreaker } from './commands/breaker.ts';
import { addEject, addUneject } from './commands/eject.ts';
import { addHealth } from './commands/health.ts';
import { addMtls } from './commands/mtls.ts';
import { addEndpoints } from './commands/endpoints.ts';
import { addSuggestions } from './commands/suggestions.ts';
import { addUsage } from './commands/usage.ts';
import { addTop } from './commands/top.ts';
import { addValidate } from './commands/validate.ts';
import { addWhoami } from './commands/whoami.ts';
import { addWhy } from './commands/why.ts';

/** Every command of `remora`, in the order in which the help shows them. */
const commands: readonly ((program: Command, run: Runner, terminal: Terminal) => void)[] = [
  // processes
  addControlPlane, addSidecar, addRun,
  // documents
  addValidate, addApply, addGet, addDelete, addDiff,
  // what holds, and why
  addExplain, addCan, addWhy, addHistory, addRevert, addRestoreTo,
  // the fleet
  addSidecars, addEndpoints, addInspect, addHealth, addEject, addUneject, addBreaker, addCanary, addTop, addTap, addEvents, addSuggestions, addDoctor,
  // who is who
  addLogin, addLogout, addWhoami, addApiToken, addAudit, addToken, addCa, addIdentity, addMtls, addConsumer, addUsage, addSecret,
  // the store
  addBackup, addRestore,
  addCompletion,
];

/** The command tree; also what completion scripts and the documentation are generated from. */
export function buildProgram(terminal: Terminal, run: Runner): Command {
  const program = new Command('remora')
    .description('Control plane, sidecar and gateway in one command: every edit is known to be enforced, or you are told where it is not and why.')
    .version('0.1.0', '-V, --version')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', () => `\n${exitCodeText()}`);
  for (const add of commands) add(program, run, terminal);
  return program;
}

/** Runs one command line as this process: its outputs, Ctrl-C and exit code. */
export async function runCommandLine(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  // `remora get … | head` closes our output early; that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  process.exitCode = await runCli(args, processTerminal(interrupted.signal, env));
}

/** Runs one command line, without the program's own name. Never throws; answers the exit code. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let code: ExitCode = exitCodes.ok;
  const program = buildProgram(terminal, runnerFor(terminal, (answered) => { code = answered; }));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    return reportFailure(error, args, terminal);
  }
}

function reportFailure(error: unknown, args: readonly string[], terminal: Terminal): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (terminal.signal.aborted) return exitCodes.interrupted;
  if (!(error instanceof CommandFailure)) {
    terminal.err(`remora: ${(error as Error).stack ?? String(error)}\n`);
    return exitCodes.internal;
  }
  const format = formatIn(args);
  if (format !== 'table' && error.detail !== null) terminal.out(formatValue(error.detail, format));
  terminal.err(failureText(error, styleFor(terminal, 'err')));
  return error.exitCode;
}

/** The format asked for, also where the command line could not be read to its end. */
function formatIn(args: readonly string[]): OutputFormat {
  const text = args.join(' ');
  const match = /(?:^|\s)(?:-o\s*|--output(?:\s+|=))(json|yaml)\b/.exec(text);
  return (match?.[1] as OutputFormat | undefined) ?? 'table';
}

function exitCodeText(): string {
  const lines = exitCodeMeanings.map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}\n`);
  return `Exit codes:\n${lines.join('')}`;
}
