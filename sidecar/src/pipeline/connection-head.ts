import { MessageHead } from '@remora/http/message-head';

/**
 * The head of a TCP connection as an exchange: no path, no fields, no scheme, and for authority the name in its ClientHello where one was looked at.
 * No request has such a head.
 */
export function connectionHead(protocol: 'tcp' | 'tls', serverName: string): MessageHead {
  const head = new MessageHead();
  head.method = 'CONNECT';
  head.scheme = '';
  head.protocol = protocol;
  head.authority = serverName;
  return head;
}

/** Whether the exchange is a TCP connection: then nothing of HTTP is ever sent to its client. */
export function isConnection(head: MessageHead): boolean {
  return head.protocol !== '' && head.scheme === '';
}
