import type { Command } from 'commander';
import type { ExitCode } from './exit-codes.ts';
import type { Runner } from './session.ts';
import type { Terminal } from './terminal.ts';

/** A part of Remora that reads its own settings from arguments, environment and file. */
export interface ProcessCommand {
  readonly name: string;
  readonly summary: string;
  /** Words before those that the user gives. */
  readonly leading?: readonly string[];
  /** Loads the part only when it is asked for: commands of the API start without it. */
  load(): Promise<StartProcess>;
}

/** Resolves when the process may end; some set `process.exitCode` instead of answering a code. */
export type StartProcess = (args: readonly string[], env: NodeJS.ProcessEnv) => Promise<number | void>;

/** Hands everything after the command's name to the part, `--help` included. */
export function addProcessCommand(program: Command, run: Runner, terminal: Terminal, command: ProcessCommand): void {
  program
    .command(command.name)
    .description(command.summary)
    .argument('[settings...]', 'settings of the process')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(
      run(async (_session, _options, args) => {
        const start = await command.load();
        const code = await start([...(command.leading ?? []), ...args], { ...terminal.env });
        return (code ?? Number(process.exitCode ?? 0)) as ExitCode;
      }),
    );
}
