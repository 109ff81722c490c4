/** What one case of a benchmark costs, in nanoseconds. */
export interface CodecCost {
  readonly what: string;
  readonly ns: number;
}

/** A name and what is measured under it. */
export type CodecCase = readonly [what: string, run: () => unknown];

/** Best of several rounds, as the machine has other work too. */
export function measureCosts(cases: readonly CodecCase[], rounds = 7, times = 100_000): CodecCost[] {
  return cases.map(([what, run]) => {
    let ns = Infinity;
    for (let round = 0; round < rounds; round++) {
      const began = process.hrtime.bigint();
      for (let i = 0; i < times; i++) run();
      ns = Math.min(ns, Number(process.hrtime.bigint() - began) / times);
    }
    return { what, ns: Math.round(ns) };
  });
}
