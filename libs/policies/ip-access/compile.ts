import { parseIpNetwork, type IpNetwork } from '@remora/core/ip-address';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { IpAccess, type NamedNetworks } from './gen/ip-access.ts';
import { ipAccessDefaults, ipAccessSchema, type EffectiveIpAccess } from './schema.ts';

/** Who may come in, by address: provider side. */
export const ipAccessAuthoring: AuthoringKind = {
  name: 'ipAccess',
  side: 'provider',
  tcp: true,
  always: false,
  shadow: true,
  format: 1,
  schema: ipAccessSchema,
  defaults: ipAccessDefaults,
  compile: (effective) => ({ minFormat: 1, body: IpAccess.encode(toMessage(effective)).finish() }),
};

function toMessage(effective: EffectiveIpAccess): IpAccess {
  return { allow: toEntries(effective.allow ?? {}), deny: toEntries(effective.deny ?? {}), revoke: effective.revoke ?? false };
}

function toEntries(map: Readonly<Record<string, string | readonly string[]>>): NamedNetworks[] {
  return Object.entries(map)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, networks: [...new Set([value].flat().map(canonicalNetwork))].sort() }));
}

/** `10.1.2.3/8` → `10.0.0.0/8`; every spelling of an IPv6 network becomes one. */
function canonicalNetwork(text: string): string {
  const network = parseIpNetwork(text);
  return network === null ? text : formatNetwork(network);
}

function formatNetwork({ family, words, prefix }: IpNetwork): string {
  if (family === 4) {
    const word = words[3] ?? 0;
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}/${prefix}`;
  }
  const groups = [...words].flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)]);
  return `${groups.join(':')}/${prefix}`;
}
