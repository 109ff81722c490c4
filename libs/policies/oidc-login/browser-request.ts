import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import { knownHeader } from '@remora/policy-kit/known-header';

/**
 * Whether a person is looking at what comes back, so that a redirect to a page of the issuer helps: a GET that wants HTML. What scripts fetch, and pages that are
 * fetched in advance, say so in browsers of today (Fetch Metadata), in older ones by `x-requested-with`.
 */
export function isNavigation(head: Head): boolean {
  if (head.method !== 'GET' || head.protocol !== '' || !head.valueAt(acceptId, 0).includes('text/html')) return false;
  if (head.has(fetchModeId) && head.valueAt(fetchModeId, 0) !== 'navigate') return false;
  if (head.has(purposeId) && head.valueAt(purposeId, 0).includes('prefetch')) return false;
  return !head.has(requestedWithId);
}

/** Whether a page of another origin made the request, as far as the browser says. */
export function isFromAnotherSite(head: Head): boolean {
  const site = head.has(fetchSiteId) ? head.valueAt(fetchSiteId, 0) : '';
  return site === 'cross-site' || site === 'same-site';
}

const acceptId = headerId('accept');
const fetchModeId = knownHeader('sec-fetch-mode', '');
const fetchSiteId = knownHeader('sec-fetch-site', '');
const purposeId = knownHeader('sec-purpose', '');
const requestedWithId = knownHeader('x-requested-with', '');
