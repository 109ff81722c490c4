import type { Command } from 'commander';
import { exitCodeMeanings } from './exit-codes.ts';

/** Commands with settings of their own, and the page that has them. */
const processPages: Readonly<Record<string, string>> = {
  'control-plane': '[settings-control-plane.md](settings-control-plane.md)',
  sidecar: '[settings-sidecar.md](settings-sidecar.md)',
};

/** The page docs/cli.md, from the command tree. */
export function referencePage(program: Command): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const commands = program.commands.flatMap((command) => {
    const page = processPages[command.name()];
    const body = page === undefined ? optionTable(command, cell) : [`Its settings: ${page}.`];
    return [`## remora ${command.name()}${usageOf(command)}`, '', `${capital(command.description())}.`, '', ...body, ''];
  });
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
    ...commands,
  ].join('\n');
}

function usageOf(command: Command): string {
  return command.registeredArguments.map((argument) => (argument.required ? ` <${argument.name()}>` : ` [${argument.name()}${argument.variadic ? '…' : ''}]`)).join('');
}

function optionTable(command: Command, cell: (text: string) => string): string[] {
  const options = command.createHelp().visibleOptions(command).filter((option) => option.long !== '--help');
  if (options.length === 0) return [];
  const rows = options.map((option) => {
    const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`;
    return `| \`${cell(option.flags)}\` | ${cell(option.description + choices)} | ${cell(defaultText(option.defaultValue, option.flags))} |`;
  });
  return ['| option | what it does | default |', '| --- | --- | --- |', ...rows];
}

function defaultText(value: unknown, flags: string): string {
  if (value === undefined || typeof value === 'boolean') return '';
  if (flags.includes('<time>') && typeof value === 'number') return `${value / 1_000}s`;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
