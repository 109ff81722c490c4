/**
 * Whose turn it is among members of different weight, so that turns of a heavy one do not come in a row (nginx's smooth weighted round robin): each gains its
 * weight, the richest is taken and pays the sum. Weights 5, 1, 1 give a a b a c a a.
 */
export class SmoothTurn {
  readonly #credit: Float64Array;

  constructor(members: number) {
    this.#credit = new Float64Array(members);
  }

  /** Index of the member; -1 where none takes part. `weightOf` 0: takes no part in this turn. */
  next(weightOf: (member: number) => number): number {
    const credit = this.#credit;
    let best = -1;
    let sum = 0;
    for (let member = 0; member < credit.length; member++) {
      const weight = weightOf(member);
      if (weight <= 0) continue;
      sum += weight;
      credit[member] = (credit[member] as number) + weight;
      if (best < 0 || (credit[member] as number) > (credit[best] as number)) best = member;
    }
    if (best >= 0) credit[best] = (credit[best] as number) - sum;
    return best;
  }
}
