import type { CommandWords, OptionWords } from './command-words.ts';

/** Completion for fish: put it into \`~/.config/fish/completions/remora.fish\`. */
export function fishScript(commands: readonly CommandWords[]): string {
  return `# fish completion for remora; made by \`remora completion fish\`
complete -c remora -f
${commands.map((command) => `complete -c remora -n __fish_use_subcommand -a ${command.name} -d '${quote(command.summary)}'\n`).join('')}${commands.map(fishCommand).join('')}`;
}

function fishCommand(command: CommandWords): string {
  const condition = `complete -c remora -n '__fish_seen_subcommand_from ${command.name}'`;
  const words = command.words.length === 0 ? '' : `${condition} -a '${command.words.join(' ')}'\n`;
  return words + command.options.map((option) => `${condition}${fishOption(option)} -d '${quote(option.summary)}'\n`).join('');
}

function fishOption(option: OptionWords): string {
  const short = option.short === null ? '' : ` -s ${option.short.slice(1)}`;
  const value = !option.takesValue ? '' : option.takesFile ? ' -r -F' : option.choices.length > 0 ? ` -x -a '${option.choices.join(' ')}'` : ' -x';
  return `${short} -l ${option.long.slice(2)}${value}`;
}

function quote(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`);
}
