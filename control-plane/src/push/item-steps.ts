import type { EncodedItem } from './state-items.ts';
import { itemKind, type ItemSet } from './subject-items.ts';

/** What one State says of items. */
export interface ItemStep {
  /** What is not named is dropped. */
  readonly full: boolean;
  readonly brought: readonly { readonly kind: string; readonly name: string; readonly body: Uint8Array }[];
  /** `kind/name`. */
  readonly removed: readonly string[];
  /** `kind/name` or `kind/`. */
  readonly hold: readonly string[];
  /** What the sidecar has after it. */
  readonly reached: ItemSet;
  /** Whether that is all of the target. */
  readonly complete: boolean;
}

/**
 * The next step of items from `base` (null: not known) to `target`, in at most so many bytes; one item goes in any case where `first`, because nothing else is
 * in the message. A kind that was held and is known again is brought in full, with everything else: what the sidecar held of it is not known.
 */
export function nextItems(base: ItemSet | null, target: ItemSet | null, bytesMax: number, first: boolean): ItemStep {
  const wanted = target ?? noWish;
  const known = base !== null && !wasHeld(base, wanted) ? base : null;
  const reached = new Map<string, EncodedItem | null>();
  const brought: { kind: string; name: string; body: Uint8Array }[] = [];
  const hold: string[] = [];
  let bytes = 0;
  let complete = true;
  for (const [key, item] of wanted) {
    const has = known?.get(key);
    if (item === null || has?.hash === item.hash) {
      reached.set(key, item);
      if (!known) hold.push(key);
    } else if ((first && brought.length === 0) || bytes + item.body.length <= bytesMax) {
      reached.set(key, item);
      brought.push({ kind: itemKind(key), name: item.name, body: item.body });
      bytes += item.body.length;
    } else {
      complete = false;
      if (has) reached.set(key, has);
      if (!known) hold.push(key);
    }
  }
  const removed = known ? [...known.keys()].filter((key) => known.get(key) && !wanted.has(key) && !wanted.has(`${itemKind(key)}/`)) : [];
  return { full: known === null, brought, removed, hold, reached, complete };
}

const noWish: ItemSet = new Map();

/** Whether a kind was held of which something is known now. */
function wasHeld(base: ItemSet, wanted: ItemSet): boolean {
  for (const [key, item] of base) if (item === null && !wanted.has(key)) return true;
  return false;
}
