/** A path template, split into its segments. */
export interface PathTemplate {
  readonly segments: readonly TemplateSegment[];
  /** Names of the variables, in order; that of `{rest*}` last. */
  readonly names: readonly string[];
  /** The last variable takes every remaining segment, also none. */
  readonly rest: boolean;
  /** Characters that are not variables: the measure of how specific the template is. */
  readonly literalLength: number;
}

/** A literal segment, or null for one that a variable takes. */
export type TemplateSegment = string | null;

export const templateSegmentsMax = 64;

/** `/v1/{tenant}/orders/{id}`; a string says what is wrong. A variable is a whole segment and never empty. */
export function parsePathTemplate(text: string): PathTemplate | string {
  if (!text.startsWith('/')) return 'a path template starts with /';
  const segments: TemplateSegment[] = [];
  const names: string[] = [];
  let rest = false;
  let literalLength = 0;
  for (const segment of text.slice(1).split('/')) {
    if (rest) return '{name*} must be the last segment';
    if (segments.length >= templateSegmentsMax) return `a path template has at most ${templateSegmentsMax} segments`;
    literalLength += 1;
    const variable = /^\{([A-Za-z_][A-Za-z0-9_]{0,62})(\*?)\}$/.exec(segment);
    if (!variable) {
      if (/[{}]/.test(segment)) return `${JSON.stringify(segment.slice(0, 60))}: a variable takes a whole segment and is written {name}`;
      segments.push(segment);
      literalLength += segment.length;
      continue;
    }
    const name = variable[1] ?? '';
    if (names.includes(name)) return `the variable ${name} occurs twice`;
    names.push(name);
    if (variable[2] === '*') rest = true;
    else segments.push(null);
  }
  return { segments, names, rest, literalLength };
}
