import { RE2JS } from 're2js';

/**
 * Regular expressions of configuration: RE2 syntax, linear time. Length and compiled size are bounded, and so is the text
 * they are tried on, because linear still means (size × text).
 */
export interface Regex {
  readonly pattern: string;
  /** Instructions of the compiled program. */
  readonly size: number;
  /** Names of the named groups, in their order in the pattern. */
  readonly groupNames: readonly string[];
  /** Whether the whole text matches. `undecided` where the text is longer than `regexTextMax`. */
  test(text: string): boolean | typeof undecided;
  /** Values of the named groups, '' for those that took no part; null where the text does not match. */
  capture(text: string): readonly string[] | null;
}

export const undecided: unique symbol = Symbol('undecided');

export const regexLengthMax = 1024;
export const regexSizeMax = 250;
/** Characters of a text that a pattern is tried on. */
export const regexTextMax = 4096;
export const regexGroupsMax = 16;

/** What is wrong with a pattern, for its author; null where nothing is. */
export function checkRegex(pattern: string): string | null {
  const compiled = compileRegex(pattern);
  return typeof compiled === 'string' ? compiled : null;
}

/** Compiles a pattern; a string says what is wrong. The same pattern answers the same object while it is in use. */
export function compileRegex(pattern: string): Regex | string {
  const kept = inUse.get(pattern)?.deref();
  if (kept) return kept;
  const made = makeRegex(pattern);
  if (typeof made !== 'string') {
    inUse.set(pattern, new WeakRef(made));
    gone.register(made, pattern);
  }
  return made;
}

/** Compiling costs about a millisecond, and tables are rebuilt with mostly the same patterns. */
const inUse = new Map<string, WeakRef<Regex>>();
const gone = new FinalizationRegistry<string>((pattern) => {
  if (inUse.get(pattern)?.deref() === undefined) inUse.delete(pattern);
});

function makeRegex(pattern: string): Regex | string {
  if (pattern.length > regexLengthMax) return `the pattern has ${pattern.length} characters, at most ${regexLengthMax} are accepted`;
  let program: RE2JS;
  try {
    program = RE2JS.compile(pattern);
  } catch (error) {
    return `not a pattern in RE2 syntax: ${error instanceof Error ? error.message : String(error)}`;
  }
  const size = program.programSize();
  if (size > regexSizeMax) return `the pattern compiles to ${size} instructions, at most ${regexSizeMax} are accepted: use smaller repetitions`;
  const groups = Object.entries(program.namedGroups()).sort(([, a], [, b]) => a - b);
  if (groups.length > regexGroupsMax) return `the pattern has ${groups.length} named groups, at most ${regexGroupsMax} are accepted`;
  const positions = groups.map(([, position]) => position);
  return Object.freeze({
    pattern,
    size,
    groupNames: Object.freeze(groups.map(([name]) => name)),
    test: (text: string) => (text.length > regexTextMax ? undecided : program.testExact(text)),
    capture: (text: string) => captureGroups(program, text, positions),
  });
}

function captureGroups(program: RE2JS, text: string, positions: readonly number[]): readonly string[] | null {
  if (text.length > regexTextMax) return null;
  const matcher = program.matcher(text);
  return matcher.matches() ? positions.map((position) => matcher.group(position) ?? '') : null;
}
