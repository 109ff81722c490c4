import { Command } from 'commander';
import { exitCodeMeanings } from './exit-codes.ts';
import { addApiOptions } from './session.ts';

/** Commands with settings of their own, and the page that has them. */
const processPages: Readonly<Record<string, string>> = {
  'control-plane': '[settings-control-plane.md](settings-control-plane.md)',
  sidecar: '[settings-sidecar.md](settings-sidecar.md)',
  backup: '[store.md](store.md)',
  restore: '[store.md](store.md)',
};

/** The page docs/cli.md, from the command tree. */
export function referencePage(program: Command): string {
  const commands = program.commands.flatMap((command) => sections(command, ''));
  return [
    '# The command `remora`',
    '',
    'Made from the command tree (`libs/cli`) by `npm run golden`. Every command works over the HTTP API that everybody else uses:',
    '`--server`, or `REMORA_SERVER`, says where. Answers go to standard output, everything else to standard error. Colours appear on a',
    'terminal only (`NO_COLOR` switches them off). `-o json` and `-o yaml` give programs what the API answered.',
    '',
    '## Exit codes',
    '',
    '| code | meaning |',
    '| --- | --- |',
    ...exitCodeMeanings.map(({ code, meaning }) => `| ${code} | ${cell(meaning)} |`),
    '',
    '`control-plane`, `sidecar`, `backup` and `restore` end with codes of their own, which their `--help` names.',
    '',
    '## Options of every command that asks a control plane',
    '',
    ...optionTable(addApiOptions(new Command())),
    '',
    ...commands,
  ].join('\n');
}

/** A command, and those below it: `breaker`, then `breaker open`. */
function sections(command: Command, above: string): string[] {
  const name = `${above} ${command.name()}`;
  const page = processPages[command.name()];
  const body = page === undefined ? commandOptions(command) : [`Its settings: ${page}.`];
  return [`## remora${name}${usageOf(command)}`, '', sentence(command.description()), '', ...(body.length === 0 ? [] : [...body, '']), ...command.commands.flatMap((inner) => sections(inner, name))];
}

function usageOf(command: Command): string {
  return command.registeredArguments.map((argument) => (argument.required ? ` <${argument.name()}${argument.variadic ? '…' : ''}>` : ` [${argument.name()}${argument.variadic ? '…' : ''}]`)).join('');
}

/** A command's own options; those that all commands of the API share are told once. */
function commandOptions(command: Command): string[] {
  const shared = new Set(addApiOptions(new Command()).options.map(({ long }) => long));
  const asks = command.options.some(({ long }) => long === '--server');
  const own = optionTable(command, asks ? shared : new Set());
  if (!asks) return own;
  return [...own, ...(own.length === 0 ? [] : ['']), `${own.length === 0 ? 'Its options' : 'Also'}: [those of every command that asks a control plane](#options-of-every-command-that-asks-a-control-plane).`];
}

function optionTable(command: Command, without: ReadonlySet<string | undefined> = new Set()): string[] {
  const options = command.createHelp().visibleOptions(command).filter(({ long }) => long !== '--help' && !without.has(long));
  if (options.length === 0) return [];
  const rows = options.map((option) => {
    const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`;
    return `| \`${cell(option.flags)}\` | ${cell(option.description + choices)} | ${cell(defaultText(option.defaultValue, option.flags))} |`;
  });
  return ['| option | what it does | default |', '| --- | --- | --- |', ...rows];
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function defaultText(value: unknown, flags: string): string {
  if (value === undefined || typeof value === 'boolean') return '';
  if (flags.includes('<time>') && typeof value === 'number') return `${value / 1_000}s`;
  if (Array.isArray(value) && value.length === 0) return '';
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? '' : '.'}`;
}
