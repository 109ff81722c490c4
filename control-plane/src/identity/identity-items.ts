import { contentHash } from '@remora/core/hash';
import { encodeRevocations, revocationsKind } from '@remora/identity/revocation-facts';
import { encodeTrustBundle, rootDigest, trustBundleKind } from '@remora/identity/trust-bundle-facts';
import type { EncodedItem, StateItemSource } from '../push/state-items.ts';
import type { AuthorityKeeper } from './authority-keeper.ts';
import type { Revocations } from './revocations.ts';

/** What every sidecar gets of identity: the roots that count, and what is revoked. The same for all. */
export function identityItems({ keeper, revocations }: { readonly keeper: AuthorityKeeper; readonly revocations: Revocations }): readonly [StateItemSource, StateItemSource] {
  return [
    sameForAll(trustBundleKind, (told) => keeper.onChange(told), () => bundleItem(keeper)),
    sameForAll(revocationsKind, (told) => {
      keeper.onChange(told);
      revocations.onChange(told);
    }, () => item(keeper.authority.trustDomain, encodeRevocations({ trustDomain: keeper.authority.trustDomain, ...revocations.current() }))),
  ];
}

/** As sidecars get it. */
export function bundleItem(keeper: AuthorityKeeper): EncodedItem {
  const { trustDomain, roots } = keeper.authority;
  const [own] = roots;
  return item(trustDomain, encodeTrustBundle({ trustDomain, roots: roots.map(({ raw }) => raw), sequence: keeper.sequence, signs: own ? rootDigest(own.raw) : '', renewWithinMs: keeper.renewWithinMs }));
}

function item(name: string, body: Uint8Array): EncodedItem {
  return { name, body, hash: contentHash(body) };
}

function sameForAll(kind: string, subscribe: (told: () => void) => void, make: () => EncodedItem): StateItemSource {
  const listeners = new Set<(subjects: 'all') => void>();
  let items: readonly EncodedItem[] | null = null;
  subscribe(() => {
    const next = make();
    // Said only where it differs: a change of the authority need not be one of the bundle.
    if (items !== null && items[0]?.hash === next.hash) return;
    items = [next];
    for (const listener of listeners) listener('all');
  });
  return {
    kind,
    itemsFor: () => (items ??= [make()]),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
