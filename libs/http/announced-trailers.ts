import { headerId, headerName } from './header-ids.ts';
import type { MessageHead } from './message-head.ts';
import { forbiddenInTrailers } from './forbidden-in-trailers.ts';

/**
 * Takes a `Trailer` field away that announces what is not accepted in trailers (RFC 9110 section 6.6.2): it would be a promise that is not kept, and
 * some servers (Go's net/http) refuse the whole message for one that names `Content-Length`.
 */
export function removeFalseAnnouncements(head: MessageHead): void {
  if (!head.has(trailerId)) return;
  for (let nth = 0; nth < head.count(trailerId); nth++) {
    for (const name of head.valueAt(trailerId, nth).split(',')) {
      if (!forbiddenNames.has(name.trim().toLowerCase())) continue;
      head.remove(trailerId);
      return;
    }
  }
}

const trailerId = headerId('trailer');
const forbiddenNames: ReadonlySet<string> = new Set([
  'content-length', 'transfer-encoding', 'connection', 'te', 'upgrade', 'expect', 'keep-alive', 'proxy-connection', ...forbiddenInTrailers.map(headerName),
]);
