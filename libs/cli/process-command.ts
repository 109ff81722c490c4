import type { Command } from 'commander';
import type { ExitCode } from './exit-codes.ts';
import type { Runner } from './session.ts';
import type { Terminal } from './terminal.ts';

/** A long-running part of Remora that reads its own settings from arguments, environment and file. */
export interface ProcessCommand {
  readonly name: string;
  readonly summary: string;
  /** Loads the part only when it is asked for: commands of the API start without it. */
  load(): Promise<(args: readonly string[], env: Readonly<Record<string, string | undefined>>) => Promise<number>>;
}

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
        return (await start(args, terminal.env)) as ExitCode;
      }),
    );
}
