import { decodeRevocations, revocationsKind } from '@remora/identity/revocation-facts';
import { decodeTrustBundle, trustBundleKind } from '@remora/identity/trust-bundle-facts';
import type { ItemChecks } from '../config/kept-items.ts';

/** Checks of items that identity reads, before they are taken: what cannot be read is refused where its author sees it. By kind; a sentence says what is wrong. */
export const identityItemChecks: ItemChecks = new Map<string, (name: string, body: Uint8Array) => string | null>([
  [trustBundleKind, (name, body) => (decodeTrustBundle(body)?.trustDomain === name ? null : 'it is no trust bundle of this trust domain')],
  [revocationsKind, (name, body) => (decodeRevocations(body)?.trustDomain === name ? null : 'it is no list of revocations of this trust domain')],
]);
