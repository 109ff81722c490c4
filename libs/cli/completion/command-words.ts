import type { Command, Option } from 'commander';

/** What can follow each command on the command line: read from the command tree, so that nothing is listed twice. */
export interface CommandWords {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionWords[];
  /** Fixed words of the first argument: kinds of documents, shells. Empty where it is free. */
  readonly words: readonly string[];
}

export interface OptionWords {
  readonly long: string;
  readonly short: string | null;
  readonly summary: string;
  readonly takesValue: boolean;
  readonly takesFile: boolean;
  readonly choices: readonly string[];
}

export function commandWords(program: Command): readonly CommandWords[] {
  return program
    .createHelp()
    .visibleCommands(program)
    .map((command) => ({
      name: command.name(),
      summary: command.description(),
      options: command.createHelp().visibleOptions(command).flatMap(optionWords),
      words: [...(command.registeredArguments[0]?.argChoices ?? [])],
    }));
}

function optionWords(option: Option): OptionWords[] {
  if (option.long === undefined || option.long === null) return [];
  return [
    {
      long: option.long,
      short: option.short ?? null,
      summary: option.description,
      takesValue: option.required || option.optional,
      takesFile: /<(?:path|file|folder)>/.test(option.flags),
      choices: option.argChoices ?? [],
    },
  ];
}
