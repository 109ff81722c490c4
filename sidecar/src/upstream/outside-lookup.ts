import dns from 'node:dns';
import net from 'node:net';
import tls from 'node:tls';
import { parseIpNetwork } from '@remora/core/ip-address';
import { NetworkSet } from '@remora/core/network-set';
import type { LinkContext } from '../io/link-context.ts';

/**
 * Addresses that nobody outside of the mesh has, and that hand out credentials of the machine to whoever asks from it: never called for a host that an app named, by
 * whatever name (a request that an app was tricked into).
 */
const never = new NetworkSet();
for (const text of ['169.254.0.0/16', 'fe80::/10', 'fd00:ec2::254/128', '0.0.0.0/8', '::/128']) {
  const network = parseIpNetwork(text);
  if (network !== null) never.add(network, 0);
}

/** Whether an address may be called from outside of the mesh's documents. False for what is no address. */
export function mayBeCalled(address: string): boolean {
  return net.isIP(address) !== 0 && never.find(address) === -1;
}

/** The same links, whose connections look at each address that a name stands for, at the moment when it is connected. */
export function outsideLinks(links: LinkContext): LinkContext {
  let made = known.get(links);
  if (made === undefined) {
    const { dial, dialTls = tls.connect } = links;
    made = { ...links, dial: (options) => dial({ ...options, lookup }), dialTls: (options) => dialTls({ ...options, lookup }) };
    known.set(links, made);
  }
  return made;
}

const known = new WeakMap<LinkContext, LinkContext>();

const lookup: net.LookupFunction = (host, options, callback) => {
  dns.lookup(host, { ...options, all: true }, (error, addresses) => {
    const allowed = error === null ? addresses.filter(({ address }) => mayBeCalled(address)) : [];
    const [first] = allowed;
    if (first === undefined) callback(error ?? Object.assign(new Error(`${host} stands for no address that may be called`), { code: 'EADDRNOTAVAIL' }), '', 0);
    else if (options.all === true) callback(null, allowed);
    else callback(null, first.address, first.family);
  });
};
