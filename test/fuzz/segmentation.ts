import { Choice } from './choice.ts';

/** Places at which bytes are cut, in one of the ways that find faults: at one place, around line ends, in equal or random pieces, byte by byte. */
export function chooseCuts(choice: Choice, bytes: Uint8Array): number[] {
  const { length } = bytes;
  if (length < 2) return [];
  switch (choice.below(6)) {
    case 0:
      return [choice.between(1, length - 1)];
    case 1:
      return lineEnds(bytes).flatMap((at) => (choice.once(3) ? [at + choice.between(-1, 2)] : []));
    case 2: {
      const step = choice.between(1, Math.max(1, Math.min(64, length >> 1)));
      return Array.from({ length: Math.min(2000, Math.floor(length / step)) }, (_, i) => (i + 1) * step);
    }
    case 3:
      return length <= 600 ? Array.from({ length: length - 1 }, (_, i) => i + 1) : [choice.between(1, length - 1), length - 1];
    case 4:
      return [1, length - 1];
    default:
      return Array.from({ length: choice.between(2, 12) }, () => choice.between(1, length - 1));
  }
}

/** Where these bytes are cut. */
export type Cuts = (bytes: Uint8Array) => readonly number[];

/** By choice; now and then not at all. */
export function cutsBySeed(seed: number): Cuts {
  const choice = new Choice(seed);
  return (bytes) => (choice.once(4) ? [] : chooseCuts(choice, bytes));
}

/** In two, at every place of so many bytes. */
export function everyCut(length: number): Cuts[] {
  return Array.from({ length: Math.max(0, length - 1) }, (_, at) => () => [at + 1]);
}

/** Bytes that are cut at every place, where a case costs little. */
export const everyCutMax = 220;

export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(places)].filter((at) => at > 0 && at < bytes.length).sort((a, b) => a - b);
  return [0, ...sorted].map((at, i) => bytes.subarray(at, sorted[i] ?? bytes.length));
}

function lineEnds(bytes: Uint8Array): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(10); at >= 0 && places.length < 500; at = bytes.indexOf(10, at + 1)) places.push(at);
  return places;
}
