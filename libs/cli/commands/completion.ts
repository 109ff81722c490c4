import { Argument } from 'commander';
import type { Command } from 'commander';
import { bashScript } from '../completion/bash-script.ts';
import { commandWords } from '../completion/command-words.ts';
import type { CommandWords } from '../completion/command-words.ts';
import { fishScript } from '../completion/fish-script.ts';
import { zshScript } from '../completion/zsh-script.ts';
import type { Runner } from '../session.ts';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const satisfies Record<string, (commands: readonly CommandWords[]) => string>;

/** `remora completion bash|zsh|fish`: prints the script; `source <(remora completion bash)`. */
export function addCompletion(program: Command, run: Runner): void {
  program
    .command('completion')
    .description('print the completion script of a shell: source <(remora completion bash)')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(scripts)))
    .action(
      run(async (session, _options, [shell]) => {
        session.terminal.out(scripts[shell as keyof typeof scripts](commandWords(program)));
      }),
    );
}
