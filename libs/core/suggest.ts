import { distance } from 'fastest-levenshtein';

/** The accepted word nearest to what was typed, where it is near enough to be meant. */
export function suggest(typed: string, accepted: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(typed.length / 3)) + 1;
  const lower = typed.toLowerCase();
  for (const word of accepted) {
    const d = distance(lower, word.toLowerCase());
    if (d < bestDistance) {
      best = word;
      bestDistance = d;
    }
  }
  return best;
}
