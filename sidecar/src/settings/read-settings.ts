import { suggest } from '@remora/core/suggest';
import { buildSettings } from './build-settings.ts';
import type { SidecarSettings } from './sidecar-settings.ts';
import { environmentName, settingTable, type SettingRow } from './table.ts';

export type SettingsResult =
  | { readonly kind: 'run'; readonly settings: SidecarSettings }
  | { readonly kind: 'help' | 'version' }
  | { readonly kind: 'invalid'; readonly problems: readonly SettingProblem[] };

export interface SettingProblem {
  /** `--workers`, `REMORA_WORKERS`, `settings.json: workers`. */
  readonly setting: string;
  readonly message: string;
}

/** Values of one setting, all from the strongest source that has it. */
export interface SettingValues {
  readonly source: string;
  readonly values: readonly unknown[];
}

export interface SettingSources {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws like `fs.readFileSync`. */
  readonly readFile: (path: string) => string;
}

interface RawValues {
  readonly source: string;
  readonly texts: readonly string[];
}

const rows: ReadonlyMap<string, SettingRow> = new Map(settingTable.map((row) => [row.name, row]));
const fileBytesMax = 1_048_576;

/** Settings from arguments, environment and file; or everything that is wrong with them. Reads nothing else. */
export function readSettings(sources: SettingSources): SettingsResult {
  const problems: SettingProblem[] = [];
  const fromArguments = readArguments(sources.argv, problems);
  if (fromArguments.has('help')) return { kind: 'help' };
  if (fromArguments.has('version')) return { kind: 'version' };
  const fromEnvironment = readEnvironment(sources.env);
  const file = (fromArguments.get('settings') ?? fromEnvironment.get('settings'))?.texts.at(-1);
  const fromFile = file === undefined ? new Map<string, RawValues>() : readSettingsFile(file, sources.readFile, problems);
  const values = new Map<string, SettingValues>();
  for (const row of settingTable) {
    const raw = fromArguments.get(row.name) ?? fromEnvironment.get(row.name) ?? fromFile.get(row.name);
    if (raw) values.set(row.name, parseValues(row, raw, problems));
  }
  const settings = buildSettings(values, sources, problems);
  return problems.length > 0 ? { kind: 'invalid', problems } : { kind: 'run', settings };
}

function readArguments(argv: readonly string[], problems: SettingProblem[]): Map<string, RawValues> {
  const found = new Map<string, RawValues>();
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? '';
    if (argument === '--help' || argument === '-h') found.set('help', { source: argument, texts: [] });
    else if (argument === '--version') found.set('version', { source: argument, texts: [] });
    else if (!argument.startsWith('--')) problems.push({ setting: argument, message: 'is not expected here: settings begin with --' });
    else {
      const [name, attached] = splitArgument(argument);
      const row = rows.get(name);
      if (!row) {
        problems.push(unknown(`--${name}`, name));
        if (attached === null && argv[i + 1]?.startsWith('--') === false) i++;
        continue;
      }
      const text = attached ?? (row.placeholder === '' ? 'true' : argv[++i]);
      if (text === undefined) problems.push({ setting: `--${name}`, message: `needs a value: ${row.placeholder}` });
      else found.set(name, { source: `--${name}`, texts: [...(found.get(name)?.texts ?? []), text] });
    }
  }
  return found;
}

function splitArgument(argument: string): [string, string | null] {
  const at = argument.indexOf('=');
  return at < 0 ? [argument.slice(2), null] : [argument.slice(2, at), argument.slice(at + 1)];
}

function readEnvironment(env: SettingSources['env']): Map<string, RawValues> {
  const found = new Map<string, RawValues>();
  for (const row of settingTable) {
    const source = environmentName(row);
    const text = env[source];
    if (text === undefined || text === '') continue;
    found.set(row.name, { source, texts: row.repeatable ? text.split(',').map((each) => each.trim()).filter((each) => each !== '') : [text] });
  }
  return found;
}

function readSettingsFile(path: string, readFile: SettingSources['readFile'], problems: SettingProblem[]): Map<string, RawValues> {
  const found = new Map<string, RawValues>();
  const content = readJson(path, readFile);
  if (typeof content === 'string') {
    problems.push({ setting: path, message: content });
    return found;
  }
  for (const [name, value] of Object.entries(content)) {
    const source = `${path}: ${name}`;
    const texts = scalarTexts(value);
    if (!rows.has(name) || name === 'settings') problems.push(unknown(source, name));
    else if (texts === null) problems.push({ setting: source, message: 'must be a text, a number, true, false, or a list of these' });
    else found.set(name, { source, texts });
  }
  return found;
}

/** The object, or one sentence. */
function readJson(path: string, readFile: SettingSources['readFile']): object | string {
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (text.length > fileBytesMax) return `has more than ${fileBytesMax} bytes`;
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content === 'object' && content !== null && !Array.isArray(content)) return content;
    return 'must hold one JSON object';
  } catch (error) {
    return `is not JSON (YAML is not read here): ${error instanceof Error ? error.message : String(error)}`;
  }
}

function scalarTexts(value: unknown): string[] | null {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  const texts: string[] = [];
  for (const item of list) {
    if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean') return null;
    texts.push(String(item));
  }
  return texts;
}

function parseValues(row: SettingRow, raw: RawValues, problems: SettingProblem[]): SettingValues {
  if (!row.repeatable && raw.texts.length > 1) problems.push({ setting: raw.source, message: 'is given more than once' });
  const values: unknown[] = [];
  for (const text of raw.texts) {
    const parsed = row.parse(text);
    if (parsed.ok) values.push(parsed.value);
    else if (row.secret) problems.push({ setting: raw.source, message: `cannot be used: expected ${parsed.expected}` });
    else problems.push({ setting: raw.source, message: `is ${JSON.stringify(text.slice(0, 200))}, expected ${parsed.expected}` });
  }
  return { source: raw.source, values };
}

function unknown(setting: string, name: string): SettingProblem {
  const near = suggest(name, rows.keys());
  return { setting, message: near === undefined ? 'is not a setting' : `is not a setting; did you mean ${near}?` };
}
