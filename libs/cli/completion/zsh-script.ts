import type { CommandWords, OptionWords } from './command-words.ts';

/** Completion for zsh: put it into a folder of \`fpath\` as \`_remora\`. */
export function zshScript(commands: readonly CommandWords[]): string {
  return `#compdef remora
# zsh completion for remora; made by \`remora completion zsh\`
_remora() {
  local -a commands
  commands=(
${commands.map((command) => `    '${quote(`${command.name}:${command.summary}`)}'\n`).join('')}  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${commands.map(zshCase).join('')}  esac
}
_remora "$@"
`;
}

function zshCase(command: CommandWords): string {
  const specs = command.options.flatMap(zshOption);
  const positional = command.words.length === 0 ? [] : [`'1:word:(${command.words.join(' ')})'`];
  return `    ${command.name})\n      _arguments -s ${[...specs, ...positional].map((spec) => `\\\n        ${spec}`).join(' ')} ;;\n`;
}

function zshOption(option: OptionWords): string[] {
  const value = !option.takesValue ? '' : option.takesFile ? ':file:_files' : `:value:(${option.choices.join(' ')})`;
  const flags = option.short === null ? [option.long] : [option.short, option.long];
  return flags.map((flag) => `'*${flag}[${quote(option.summary.replaceAll(/[[\]]/g, String.raw`\$&`))}]${value}'`);
}

function quote(text: string): string {
  return text.replaceAll("'", String.raw`'\''`);
}
