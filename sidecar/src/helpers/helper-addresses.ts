import { NetworkSet } from '@remora/core/network-set';
import { parseIpNetwork } from '@remora/core/ip-address';

/** Which addresses a helper request may connect to. */
export type AddressRule = 'public' | 'private' | 'any';

/** What a request may reach: plain http only what is private, since anybody on another way could answer it. */
export function addressRule(url: URL, allowPrivateAddresses: boolean): AddressRule | null {
  if (url.username !== '' || url.password !== '') return null;
  if (url.protocol === 'https:') return allowPrivateAddresses ? 'any' : 'public';
  return url.protocol === 'http:' && allowPrivateAddresses ? 'private' : null;
}

export function mayConnect(rule: AddressRule, address: string): boolean {
  if (rule === 'any') return notUnicast.find(address) === -1;
  const found = inside.find(address);
  if (found === -2 || notUnicast.find(address) !== -1) return false;
  return rule === 'private' ? found >= 0 : found === -1;
}

/** Special-purpose registries of IANA (RFC 6890), with what leads to IPv4 from IPv6; mapped addresses are judged as the IPv4 that they are. */
const inside = setOf([
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.168.0.0/16', '198.18.0.0/15',
  '::/96', '64:ff9b::/96', '64:ff9b:1::/48', '2001::/32', '2002::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10',
]);
/** Nobody has these: multicast, reserved, broadcast. */
const notUnicast = setOf(['224.0.0.0/4', '240.0.0.0/4', 'ff00::/8']);

function setOf(networks: readonly string[]): NetworkSet {
  const set = new NetworkSet();
  networks.forEach((text, i) => {
    const network = parseIpNetwork(text);
    if (network === null) throw new Error(`${text} is no network`);
    set.add(network, i);
  });
  return set;
}
