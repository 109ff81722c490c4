import { Argument } from 'commander';

/** An argument whose usual words are known for completion and help, but which takes others too. */
export function wordArgument(name: string, description: string, words: readonly string[]): Argument {
  const argument = new Argument(name, description).choices(words);
  return argument.argParser((value) => value);
}
