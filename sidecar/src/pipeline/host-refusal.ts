import { reasons } from '@remora/errors/reason';
import type { MessageHead } from '@remora/http/message-head';
import type { Answer } from '@remora/policy-kit/exchange';
import type { ProviderPort } from '../generation/places.ts';
import { answerFor } from './answers.ts';

/** Null where the listener serves the host that the request is for, by name or by `*.` before the end of one. */
export function hostRefusal(head: MessageHead, port: ProviderPort): Answer | null {
  if (port.hosts.length === 0) return null;
  const colon = head.authority.lastIndexOf(':');
  const host = colon > head.authority.lastIndexOf(']') ? head.authority.slice(0, colon) : head.authority;
  for (const pattern of port.hosts) {
    if (pattern.startsWith('*.') ? host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) : pattern === host) return null;
  }
  return answerFor(reasons.noRoute, 'this listener does not serve that host');
}
