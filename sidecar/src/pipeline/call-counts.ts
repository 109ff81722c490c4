import type { ServerPeer } from '../listener/server-peer.ts';
import { formatCallerName, formatUnknownName, otherHosts } from '../records/caller-names.ts';
import type { PolicyEvents } from '../records/policy-events.ts';

/** Who calls the inbound ports, and which hosts the app calls that no document declares: for `remora mtls status` and `remora suggestions`. */
export class CallCounts {
  readonly #counts: PolicyEvents;
  /** Hosts that are told apart. */
  readonly #hosts = new Set<string>();

  constructor(counts: PolicyEvents) {
    this.#counts = counts;
  }

  /** A request or a TCP connection at an inbound port. `trustDomain`: the own one, whose callers are named by their path. */
  cameFrom(peer: ServerPeer, trustDomain: string): void {
    peer.calls ??= this.#counts.counter(callerName(peer, trustDomain));
    peer.calls();
  }

  wentTo(authority: string): void {
    const name = authority === '' || authority.length > hostLengthMax ? otherHosts : authority;
    const counted = this.#hosts.size < hostsMax || this.#hosts.has(name) ? name : otherHosts;
    this.#hosts.add(counted);
    this.#counts.count(formatUnknownName(counted), 1);
  }
}

function callerName({ caller, facts }: ServerPeer, trustDomain: string): string {
  const { portName: port, peerAddress } = facts;
  if (caller === null) return formatCallerName({ port, mtls: false, peer: peerAddress });
  const { spiffeId, trustDomain: its } = caller.peer;
  return formatCallerName({ port, mtls: true, peer: its === trustDomain ? spiffeId.slice(spiffeScheme.length + trustDomain.length + 1) : spiffeId });
}

const spiffeScheme = 'spiffe://';
/** Of one data thread. */
const hostsMax = 128;
const hostLengthMax = 200;
