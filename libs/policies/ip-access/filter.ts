import { NetworkSet } from '@remora/core/network-set';
import type { Answer, EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { ipDenied } from './reasons.ts';
import { ipAccessWire, type IpAccessSettings, type NetworkEntry } from './wire.ts';

/** Lets in, or not, by the client's address. */
export const ipAccessRuntime: RuntimeKind<IpAccessSettings> = {
  ...ipAccessWire,
  side: 'provider',
  tcp: true,
  edge: makeIpAccessFilter,
};

function makeIpAccessFilter(settings: IpAccessSettings, context: FilterContext): EdgeFilter | null {
  const { allow, deny } = settings;
  if (allow.length === 0 && deny.length === 0) return null;
  const allowed = toSet(allow);
  const denied = toSet(deny);
  const denials = deny.map((entry) => context.refuse(ipDenied, entry.pointer, 'the address is within a denied network'));
  const notAllowed = context.refuse(ipDenied, '/allow', 'the address is within no allowed network');
  const unreadable = context.refuse(ipDenied, '', 'the client address cannot be read');
  const decide = (address: string): Answer | null => {
    const entry = denied.find(address);
    if (entry === -2) return unreadable;
    if (entry >= 0) return denials[entry] ?? unreadable;
    return allow.length === 0 || allowed.find(address) >= 0 ? null : notAllowed;
  };
  // Requests of one connection come from one address: the last verdict is kept.
  let lastAddress: string | null = null;
  let lastVerdict: Answer | null = null;
  return {
    kind: 'ipAccess',
    request(x) {
      if (x.clientAddress !== lastAddress) {
        lastVerdict = decide(x.clientAddress);
        lastAddress = x.clientAddress;
      }
      return lastVerdict;
    },
    ...(settings.revoke && !context.shadow && { revoke: (x: Exchange) => decide(x.clientAddress) }),
  };
}

function toSet(entries: readonly NetworkEntry[]): NetworkSet {
  const set = new NetworkSet();
  entries.forEach((entry, index) => entry.networks.forEach((network) => {
    set.add(network, index);
  }));
  return set;
}
