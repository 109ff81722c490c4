import { hasControlCharacters } from './control-characters.ts';
import { documentLimits } from './document-limits.ts';

const variable = /^\{([A-Za-z_][A-Za-z0-9_]{0,62})(\*?)\}$/;

/** Why a path of a match is not one; null where it is. Spellings that no canonical path has could never match. */
export function pathProblem(text: string, kind: 'exact' | 'prefix' | 'template'): string | null {
  if (text.length > documentLimits.pathLength) return `is longer than ${documentLimits.pathLength} characters`;
  if (!text.startsWith('/')) return 'does not start with /';
  if (/[?#]/.test(text)) return 'has a ? or #: queries are matched in query';
  if (text.includes(' ') || hasControlCharacters(text)) return 'has a space or control character';
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return 'has a % without two hexadecimal digits';
  return segmentProblem(text.slice(1).split('/'), kind);
}

function segmentProblem(segments: readonly string[], kind: 'exact' | 'prefix' | 'template'): string | null {
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1;
    if (segment === '' && !last) return 'has an empty segment (//), which no canonical path has';
    if (segment === '.' || segment === '..') return 'has a dot segment, which no canonical path has';
    if (kind !== 'template') continue;
    const problem = variableProblem(segment, last);
    if (problem !== null) return problem;
  }
  if (kind !== 'template') return null;
  const names = segments.flatMap((segment) => variable.exec(segment)?.[1] ?? []);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  return twice === undefined ? null : `has the variable ${twice} twice`;
}

function variableProblem(segment: string, last: boolean): string | null {
  if (!/[{}]/.test(segment)) return null;
  const match = variable.exec(segment);
  if (match === null) return `has ${JSON.stringify(segment.slice(0, 40))}: a variable is a whole segment such as {id}`;
  return match[2] === '*' && !last ? `has ${segment} before its end: only the last segment takes the rest` : null;
}

/** Names that a path gives to its parts, in order. */
export function pathVariables(path: { readonly template?: string | undefined; readonly regex?: string | undefined }): readonly string[] {
  if (path.template !== undefined) return path.template.slice(1).split('/').flatMap((segment) => variable.exec(segment)?.[1] ?? []);
  return path.regex === undefined ? [] : [...path.regex.matchAll(/\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>/g)].map((match) => match[1] ?? '');
}
