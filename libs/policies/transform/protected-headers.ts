/**
 * Headers that no edit may touch: framing and hop-by-hop fields (RFC 9110 sections 6.4, 7.6.1), the host that routing
 * decided on, and what Remora tells itself. Names in lower case.
 */
const protectedNames: ReadonlySet<string> = new Set([
  'host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'keep-alive', 'proxy-connection',
  'http2-settings', 'expect',
]);

/** Why the header cannot be edited; null where it can. */
export function protectionOf(lowerName: string): string | null {
  if (lowerName === 'host') return 'the host is what routes decide on: use rewrite of a Route';
  if (protectedNames.has(lowerName)) return `${lowerName} belongs to the connection or frames the message: Remora writes it itself`;
  if (lowerName.startsWith('x-remora-')) return `${lowerName} is what Remora tells itself and its callers`;
  return null;
}
