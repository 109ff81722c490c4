import type { CommandWords, OptionWords } from './command-words.ts';

/** Completion for bash: source it, or put it into the folder of bash-completion. */
export function bashScript(commands: readonly CommandWords[]): string {
  const names = commands.map((command) => command.name).join(' ');
  return `# bash completion for remora; made by \`remora completion bash\`
_remora() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}"
  COMPREPLY=()
  if [[ \${COMP_CWORD} -eq 1 ]]; then
    COMPREPLY=( $(compgen -W "${names} help" -- "$current") )
    return
  fi
  case "$command" in
${commands.map(bashCase).join('')}  esac
}
complete -F _remora remora
`;
}

function bashCase(command: CommandWords): string {
  const options = command.options.flatMap((option) => (option.short === null ? [option.long] : [option.short, option.long])).join(' ');
  const valued = command.options.filter((option) => option.takesValue);
  const inner = valued.length === 0 ? '' : `      case "$previous" in\n${valued.map(bashValue).join('')}      esac\n`;
  const words = command.words.length === 0 ? '' : `      [[ \${COMP_CWORD} -eq 2 && "$current" != -* ]] && { COMPREPLY=( $(compgen -W "${command.words.join(' ')}" -- "$current") ); return; }\n`;
  return `    ${command.name})\n${inner}${words}      COMPREPLY=( $(compgen -W "${options}" -- "$current") ) ;;\n`;
}

function bashValue(option: OptionWords): string {
  const flags = option.short === null ? option.long : `${option.short}|${option.long}`;
  const source = option.takesFile ? 'compgen -f' : `compgen -W "${option.choices.join(' ')}"`;
  return `        ${flags}) COMPREPLY=( $(${source} -- "$current") ); return ;;\n`;
}
