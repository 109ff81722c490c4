import { readFile } from 'node:fs/promises';
import { parseIpAddress } from '@remora/core/ip-address';
import type { DnsServer } from './dns-client.ts';

/** What this machine is told of names: `/etc/resolv.conf` and `/etc/hosts`. */
export interface SystemNames {
  readonly servers: readonly DnsServer[];
  readonly search: readonly string[];
  /** Names with fewer dots are tried with the search domains first. */
  readonly ndots: number;
  /** By name in lower case. */
  readonly hosts: ReadonlyMap<string, readonly string[]>;
}

/** As the C library bounds them. */
const serversMax = 3;
const searchMax = 6;
const fileBytesMax = 1024 * 1024;
const words = new Uint32Array(4);

/** Read at each use: both may change. A file that cannot be read says nothing. */
export async function readSystemNames(paths: { readonly resolv: string; readonly hosts: string } = { resolv: '/etc/resolv.conf', hosts: '/etc/hosts' }): Promise<SystemNames> {
  const [resolv, hosts] = await Promise.all([textOf(paths.resolv), textOf(paths.hosts)]);
  return { ...parseResolv(resolv), hosts: parseHosts(hosts) };
}

async function textOf(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8');
    return text.length > fileBytesMax ? '' : text;
  } catch {
    return '';
  }
}

export function parseResolv(text: string): Omit<SystemNames, 'hosts'> {
  const servers: DnsServer[] = [];
  let search: string[] = [];
  let ndots = 1;
  for (const [word, ...values] of linesOf(text)) {
    if (word === 'nameserver' && values[0] !== undefined && parseIpAddress(values[0], words) !== 0 && servers.length < serversMax) servers.push({ host: values[0], port: 53 });
    if (word === 'search' || word === 'domain') search = values.slice(0, searchMax);
    const dots = word === 'options' ? values.find((value) => /^ndots:\d{1,2}$/.test(value)) : undefined;
    if (dots !== undefined) ndots = Math.min(15, Number(dots.slice(6)));
  }
  return { servers: servers.length === 0 ? [{ host: '127.0.0.1', port: 53 }] : servers, search, ndots };
}

export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const [address, ...names] of linesOf(text)) {
    if (address === undefined || parseIpAddress(address, words) === 0) continue;
    for (const name of names) hosts.set(name.toLowerCase(), [...(hosts.get(name.toLowerCase()) ?? []), address]);
  }
  return hosts;
}

function linesOf(text: string): string[][] {
  return text.split('\n').map((line) => line.replace(/[#;].*/, '').split(/\s+/).filter((word) => word !== '')).filter((line) => line.length > 0);
}
