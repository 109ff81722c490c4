import { readFileSync } from 'node:fs';
import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { AskedSource } from '@remora/model/discovery-schema';
import type { DiscoveryApi, DiscoverySettings } from '../settings/control-plane-settings.ts';
import { StartError } from '../start-error.ts';
import type { DiscoverySource } from './discovery-source.ts';
import { createDnsClient } from './dns/dns-client.ts';
import { createDnsLookup } from './dns/dns-lookup.ts';
import { createDnsSource } from './dns/dns-source.ts';
import { readSystemNames } from './dns/system-names.ts';
import { createFileSource } from './file/file-source.ts';

export interface SourceSurroundings {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The sources that a control plane is set up for. Nothing is asked yet; what only some need is loaded only then. Throws StartError with a sentence for people. */
export async function openSources(settings: DiscoverySettings, surroundings: SourceSurroundings): Promise<ReadonlyMap<AskedSource, DiscoverySource>> {
  const { timers, random } = surroundings;
  const lookup = createDnsLookup({ client: createDnsClient({ timers }), servers: settings.dnsServers, system: () => readSystemNames() });
  const sources = new Map<AskedSource, DiscoverySource>([['dns', createDnsSource({ lookup, timers, random })]]);
  if (settings.folder !== '') sources.set('file', createFileSource({ folder: settings.folder, timers }));
  if (settings.consul) {
    const { createConsulSource } = await import('./consul/consul-source.ts');
    sources.set('consul', createConsulSource({ ...reach(settings.consul), timers, random, clock: surroundings.clock }));
  }
  if (settings.kubernetes) {
    const { createKubernetesSource } = await import('./kubernetes/kubernetes-source.ts');
    sources.set('kubernetes', createKubernetesSource({ ...reach(inCluster(settings.kubernetes, surroundings.environment)), timers, random }));
  }
  return sources;
}

/** Files are read at each use, so that they can be replaced; that they are there is checked now. */
function reach({ address, token, tokenFile, authorityFile }: DiscoveryApi): { readonly address: string; readonly token: () => string; readonly authority: () => string } {
  for (const file of [tokenFile, authorityFile]) if (file !== '') readNow(file);
  return {
    address, token: tokenFile === '' ? () => token : () => readFileSync(tokenFile, 'utf8').trim(), authority: authorityFile === '' ? () => '' : () => readFileSync(authorityFile, 'utf8'),
  };
}

function inCluster(api: DiscoveryApi, environment: SourceSurroundings['environment']): DiscoveryApi {
  if (api.address !== 'in-cluster') return api;
  const [host, port] = [environment['KUBERNETES_SERVICE_HOST'], environment['KUBERNETES_SERVICE_PORT'] ?? '443'];
  if (host === undefined || host === '') throw new StartError('refused', '--kubernetes-api in-cluster: this is no pod of a cluster (KUBERNETES_SERVICE_HOST is not set); give the URL of the API');
  return { address: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, token: '', tokenFile: `${accountFolder}/token`, authorityFile: `${accountFolder}/ca.crt` };
}

function readNow(file: string): void {
  try {
    readFileSync(file);
  } catch (error) {
    throw new StartError('refused', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`, { cause: error });
  }
}
