import { reasons } from '@remora/errors/reason';
import type { MessageHead } from '@remora/http/message-head';
import type { Answer } from '@remora/policy-kit/exchange';
import type { Destination } from '../generation/places.ts';
import type { Generation } from '../generation/generation.ts';
import { answerFor } from './answers.ts';

/**
 * A request for a tunnel (CONNECT, RFC 9110 section 9.3.6), from here on: what follows its head is no body. To the engine it is a TCP connection whose
 * client waits for an answer of HTTP. False: it says that it has a body, which has no meaning; where one ends and the tunnel begins, others may see differently.
 */
export function becomesTunnelRequest(head: MessageHead, hasBody: boolean): boolean {
  head.protocol = 'tcp';
  head.bodyLength = 0;
  head.expectContinue = false;
  return !hasBody;
}

/**
 * Where a CONNECT of the own app leads: to a TCP port of what the snapshot declares, or to its refusal. Nothing is resolved, no address is connected because
 * somebody asked for it. `proxies`: it came to the outbound listener that is for all destinations.
 */
export function connectDestination({ snapshot, byAuthority, tcpByAuthority }: Generation, authority: string, proxies: boolean): Destination | Answer {
  if (!proxies) return answerFor(reasons.connectRefused, 'only the outbound port of a sidecar takes CONNECT');
  if (snapshot.fleet.connect !== 'declared') return answerFor(reasons.connectRefused, 'the Mesh does not say connect: declared');
  const colon = authority.lastIndexOf(':');
  if (colon <= authority.lastIndexOf(']') || colon === authority.length - 1) return answerFor(reasons.badRequest, 'CONNECT names a host and a port');
  const destination = tcpByAuthority.get(authority);
  if (destination !== undefined) return destination;
  if (byAuthority.has(authority)) return answerFor(reasons.connectPort, `${authority} carries requests: they are sent as they are, with this host`);
  if (snapshot.destinations.has(authority.slice(0, colon))) return answerFor(reasons.connectPort, `${authority} is no port of a declared destination`);
  return answerFor(reasons.unknownDestination, `${authority} is not among the declared destinations`);
}
