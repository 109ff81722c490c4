import { DnsError, type DnsClient, type DnsServer } from './dns-client.ts';
import type { DnsMessage, DnsRecord, DnsType } from './dns-message.ts';
import type { SystemNames } from './system-names.ts';

/** Records of one name, aliases followed. */
export interface DnsFound {
  readonly records: readonly DnsRecord[];
  /** What came along: addresses of the hosts that SRV records name. */
  readonly additional: readonly DnsRecord[];
  /** How long it holds, seconds: the shortest of what it was made from; for nothing at all, what the zone says of that. */
  readonly ttlS: number;
  /** Why there are none: the name does not exist, or has no such record. '' where there are. */
  readonly reason: string;
}

/** Looks up one kind of record. Rejects with DnsError where nobody answered. */
export type DnsLookup = (name: string, type: DnsType) => Promise<DnsFound>;

const aliasesMax = 16;
/** Where a zone does not say how long "there is none" holds. */
const noneTtlS = 30;
const hostsTtlS = 5;

/** `servers`: those to ask, and nobody and nothing else; empty: as the machine is set up, `/etc/hosts` included. */
export function createDnsLookup(deps: { readonly client: DnsClient; readonly servers: readonly DnsServer[]; readonly system: () => Promise<SystemNames> }): DnsLookup {
  return async (name, type) => {
    // RFC 6761 section 6.3.
    if (/(^|\.)localhost\.?$/i.test(name)) return fixed(name, type === 'A' ? ['127.0.0.1'] : type === 'AAAA' ? ['::1'] : [], type);
    if (deps.servers.length > 0) return follow(await deps.client.ask(deps.servers, name, type), name, type);
    const system = await deps.system();
    const known = type === 'SRV' ? undefined : system.hosts.get(name.replace(/\.$/, '').toLowerCase());
    if (known) return fixed(name, known.filter((address) => address.includes(':') === (type === 'AAAA')), type);
    let last: DnsFound | null = null;
    for (const candidate of candidatesOf(name, system)) {
      last = follow(await deps.client.ask(system.servers, candidate, type), candidate, type);
      if (last.reason !== 'there is no such name (NXDOMAIN)') break;
    }
    if (last === null) throw new DnsError(`${name} is no DNS name`);
    return last;
  };
}

/** What a name may stand for, in the order of the C library. */
export function candidatesOf(name: string, { search, ndots }: Pick<SystemNames, 'search' | 'ndots'>): readonly string[] {
  if (name.endsWith('.')) return [name];
  const extended = search.map((domain) => `${name}.${domain.replace(/\.$/, '')}`);
  return name.split('.').length - 1 >= ndots ? [name, ...extended] : [...extended, name];
}

function fixed(name: string, addresses: readonly string[], type: DnsType): DnsFound {
  const records = type === 'SRV' ? [] : addresses.map((address): DnsRecord => ({ type, name, ttlS: hostsTtlS, address }));
  return { records, additional: [], ttlS: hostsTtlS, reason: records.length > 0 ? '' : `it has no ${type} record` };
}

function follow(message: DnsMessage, name: string, type: DnsType): DnsFound {
  let wanted = name.replace(/\.$/, '').toLowerCase();
  let ttlS = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= aliasesMax; aliases++) {
    const records = message.answers.filter((one) => one.type === type && one.name === wanted);
    if (records.length > 0) return { records, additional: message.additional, ttlS: Math.min(ttlS, ...records.map((one) => one.ttlS)), reason: '' };
    const alias = message.answers.find((one) => one.type === 'CNAME' && one.name === wanted);
    if (alias?.type !== 'CNAME') break;
    ttlS = Math.min(ttlS, alias.ttlS);
    wanted = alias.target;
  }
  const reason = message.code === 3 ? 'there is no such name (NXDOMAIN)' : `it has no ${type} record`;
  return { records: [], additional: [], ttlS: Math.min(ttlS, message.negativeTtlS ?? noneTtlS), reason };
}
