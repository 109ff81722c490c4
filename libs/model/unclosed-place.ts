import { isCollection, isPair, isScalar } from 'yaml';
import type { Document, YAMLError } from 'yaml';

export interface UnclosedPlace {
  /** Where it was opened, in characters of the text. */
  readonly offset: number;
  readonly opener: string;
  readonly closer: string;
  /** A line that is not indented enough ended it: a closer may stand there or behind it. */
  readonly outdented: boolean;
}

/**
 * Where the bracket, brace or quote was opened that an error says is not closed: the library names the place where it gave up, which is a line late at least.
 * null: the error is about something else. `nth`: of the errors of the same message and place, which one this is, from 0; they come from the inside out.
 */
export function unclosedPlace(document: Document.Parsed, text: string, error: YAMLError, nth: number): UnclosedPlace | null {
  const form = forms.find(({ says }) => error.message.includes(says));
  const [end] = error.pos;
  // Closed, and only not indented as it has to be.
  if (form === undefined || text[end] === form.closer) return null;
  const open = startsOfWhatEndsAt(document, end).filter((offset) => text[offset] === form.opener).sort((a, b) => b - a);
  const offset = open[nth];
  return offset === undefined ? null : { offset, opener: form.opener, closer: form.closer, outdented: error.code === 'BAD_INDENT' && /^(?!---|\.\.\.)[^\n]/.test(text.slice(end, end + 4)) && /\n[ ]*$/.test(text.slice(offset, end)) };
}

const forms = [
  { says: 'end with a ]', opener: '[', closer: ']' },
  { says: 'end with a }', opener: '{', closer: '}' },
  { says: 'Missing closing "', opener: '"', closer: '"' },
  { says: "Missing closing '", opener: "'", closer: "'" },
] as const;

/** Not by recursion: nothing bounds yet how deep the text goes. */
function startsOfWhatEndsAt(document: Document.Parsed, end: number): number[] {
  const starts: number[] = [];
  const waiting: unknown[] = [document.contents];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (isPair(node)) waiting.push(node.key, node.value);
    if (!isCollection(node) && !isScalar(node)) continue;
    if (node.range?.[1] === end) starts.push(node.range[0]);
    if (isCollection(node)) for (const item of node.items) waiting.push(item);
  }
  return starts;
}
