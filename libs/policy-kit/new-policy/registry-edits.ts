import type { NewKind } from './skeleton-files.ts';

/** Puts a kind into the text of `policy-kit/order.ts`: a reserved name is built from now on, another stands last on its side. */
export function addToOrder(text: string, { kind, side }: NewKind): string {
  const reserved = new RegExp(`^  ${side}\\('${kind}', false, '[^\\n]*'\\),$`, 'm');
  const line = `  ${side}('${kind}', true, 'say here why it stands at this place'),`;
  if (reserved.test(text)) return text.replace(reserved, line);
  if (new RegExp(`\\('${kind}',`).test(text)) throw new Error(`${kind} stands in order.ts already, or is reserved for the other side`);
  const lines = text.split('\n');
  const last = lines.findLastIndex((one) => one.startsWith(`  ${side}('`));
  if (last < 0) throw new Error(`order.ts has no ${side} kinds`);
  return lines.toSpliced(last + 1, 0, line).join('\n');
}

/** Puts a kind into the text of the control plane's or the sidecar's `kinds.ts` or `wire-kinds.ts`, in the order of names. */
export function addToRegistry(text: string, added: NewKind, parts: readonly RegistryPart[]): string {
  let lines = text.split('\n');
  for (const { module, suffix, entry } of parts) {
    lines = insertSorted(lines, new RegExp(`^import \\{ \\w+${suffix} \\} from '@remora/policy-[a-z0-9-]+/${module}';$`), `import { ${added.kind}${suffix} } from '@remora/policy-${added.folder}/${module}';`, /policy-([a-z0-9-]+)\//);
    lines = insertSorted(lines, new RegExp(`^  ${entry.replace('NAME', `\\w+${suffix}`).replaceAll(/[()]/g, '\\$&')},$`), `  ${entry.replace('NAME', `${added.kind}${suffix}`)},`, /(\w+),?$|\((\w+)\)/);
  }
  return lines.join('\n');
}

export interface RegistryPart {
  readonly module: 'compile' | 'wire' | 'filter';
  readonly suffix: 'Authoring' | 'Wire' | 'Runtime';
  /** The entry of the list; NAME stands for the export. */
  readonly entry: string;
}

export const controlPlaneParts: readonly RegistryPart[] = [
  { module: 'compile', suffix: 'Authoring', entry: 'NAME' },
  { module: 'wire', suffix: 'Wire', entry: 'NAME' },
];
export const sidecarParts: readonly RegistryPart[] = [{ module: 'filter', suffix: 'Runtime', entry: 'register(NAME)' }];
/** Of the control thread, which decodes and runs nothing. */
export const sidecarWireParts: readonly RegistryPart[] = [{ module: 'wire', suffix: 'Wire', entry: 'register(NAME)' }];

/** Before the first line of its like whose name is greater, else behind the last one. */
function insertSorted(lines: readonly string[], like: RegExp, line: string, name: RegExp): string[] {
  const nameOf = (text: string): string => (name.exec(text) ?? []).slice(1).find((group) => group !== undefined) ?? '';
  const alike = lines.map((text, at) => ({ text, at })).filter(({ text }) => like.test(text));
  const last = alike.at(-1);
  if (last === undefined) throw new Error(`no line like ${line.trim()} to stand beside`);
  const next = alike.find(({ text }) => nameOf(text) > nameOf(line));
  return lines.toSpliced(next === undefined ? last.at + 1 : next.at, 0, line);
}
