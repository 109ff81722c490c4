import type { NetworkSet } from '@remora/core/network-set';
import { headerId } from '@remora/http/header-ids';
import type { MessageHead } from '@remora/http/message-head';

/**
 * The address of the client behind trusted proxies: `X-Forwarded-For` read from the right, as long as what is found is itself a trusted proxy. An
 * entry that is no address ends the search: what stands left of it was written by a stranger.
 */
export function clientAddress(head: MessageHead, peer: string, trusted: NetworkSet): string {
  let client = peer;
  for (let nth = head.count(forwardedForHeader) - 1; nth >= 0; nth--) {
    const entries = head.valueAt(forwardedForHeader, nth).split(',');
    for (let i = entries.length - 1; i >= 0; i--) {
      const address = plain((entries[i] as string).trim());
      const known = trusted.find(address);
      if (known === -2) return client;
      client = address;
      if (known < 0) return client;
    }
  }
  return client;
}

/** Without brackets and port. */
function plain(entry: string): string {
  if (entry.startsWith('[')) return entry.slice(1, Math.max(1, entry.indexOf(']')));
  const colon = entry.indexOf(':');
  return colon > 0 && colon === entry.lastIndexOf(':') ? entry.slice(0, colon) : entry;
}

const forwardedForHeader = headerId('x-forwarded-for');
