/** One page of a list that is whole in memory, by the cursor that `next` of the page before is. */
export function pageOf<T>(all: readonly T[], { limit, after }: { readonly limit: number; readonly after?: string | undefined }, idOf: (one: T) => string, answerOf: (one: T) => object): object {
  const from = after === undefined ? 0 : all.findIndex((one) => idOf(one) === after) + 1;
  const items = all.slice(from, from + limit);
  const last = items.at(-1);
  return { items: items.map(answerOf), next: last !== undefined && from + limit < all.length ? idOf(last) : null, total: all.length };
}
