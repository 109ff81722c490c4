/** Sorts in place like `Array.sort`, yielding after every few thousand comparisons, so that a data thread is never held up. */
export function* sortSliced<T>(items: T[], compare: (a: T, b: T) => number): Generator<void, T[]> {
  const run = 1024;
  let source = items;
  for (let from = 0; from < source.length; from += run) {
    const part = source.slice(from, from + run).sort(compare);
    for (let i = 0; i < part.length; i++) source[from + i] = part[i] as T;
    yield;
  }
  let target: T[] = [...source];
  for (let width = run; width < source.length; width *= 2) {
    let steps = 0;
    for (let from = 0; from < source.length; from += 2 * width) {
      const middle = Math.min(from + width, source.length);
      const end = Math.min(from + 2 * width, source.length);
      let left = from;
      let right = middle;
      for (let i = from; i < end; i++) {
        const takeLeft = left < middle && (right >= end || compare(source[left] as T, source[right] as T) <= 0);
        target[i] = source[takeLeft ? left++ : right++] as T;
        if (++steps % 4096 === 0) yield;
      }
    }
    [source, target] = [target, source];
  }
  return source;
}
