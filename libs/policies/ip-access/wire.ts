import { parseIpNetwork, type IpNetwork } from '@remora/core/ip-address';
import { joinPointer } from '@remora/core/pointer';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, boundedText, decodeMessage } from '@remora/policy-kit/wire-check';
import { IpAccess, type NamedNetworks } from './gen/ip-access.ts';
import { ipDenied } from './reasons.ts';

/** Who may come in. `deny` wins; where `allow` has entries, only their networks may. */
export interface IpAccessSettings {
  readonly allow: readonly NetworkEntry[];
  readonly deny: readonly NetworkEntry[];
  /** WebSockets, other upgrades and TCP connections that would not be let in any more are ended. */
  readonly revoke: boolean;
}

export interface NetworkEntry {
  /** `/deny/scanners`. */
  readonly pointer: string;
  readonly networks: readonly IpNetwork[];
}

export const entriesMax = 1_000;
/** Networks of one entry, and of all entries of one map together. */
export const networksMax = 10_000;

export const ipAccessWire = { name: 'ipAccess', format: 1, reasons: [ipDenied], decode: decodeIpAccess } as const;

function decodeIpAccess(bytes: Uint8Array): IpAccessSettings {
  const message = decodeMessage(IpAccess, bytes);
  return Object.freeze({ allow: readEntries(message.allow, '/allow'), deny: readEntries(message.deny, '/deny'), revoke: message.revoke });
}

function readEntries(entries: readonly NamedNetworks[], base: string): readonly NetworkEntry[] {
  boundedList(entries, base, entriesMax);
  const total = entries.reduce((sum, entry) => sum + entry.networks.length, 0);
  if (total > networksMax) throw new WireError(base, 'too-many', `${total} networks, at most ${networksMax} are accepted`);
  return Object.freeze(entries.map((entry) => {
    const pointer = joinPointer(base, boundedText(entry.name, base, 63));
    return Object.freeze({ pointer, networks: Object.freeze(entry.networks.map((text) => readNetwork(text, pointer))) });
  }));
}

function readNetwork(text: string, pointer: string): IpNetwork {
  const network = parseIpNetwork(text);
  if (network === null) throw new WireError(pointer, 'invalid-cidr', `${JSON.stringify(text.slice(0, 60))} is not a network`);
  return network;
}
