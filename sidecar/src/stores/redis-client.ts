import { readFile } from 'node:fs/promises';
import { Cluster, Redis } from 'ioredis';
import type { RedisSettings } from '@remora/snapshot/snapshot';
import type { AddressRule } from '../helpers/helper-addresses.ts';
import { redisConnector, type RedisWay } from './redis-connector.ts';
import { redisScripts } from './redis-scripts.ts';

/** Values of the Secrets; '': there is none. */
export interface RedisPasswords {
  readonly redis: string;
  readonly sentinel: string;
}

/** A client that connects by itself, again and again, never queues for a connection that is not there, and sends nothing twice. */
export async function createRedisClient(settings: RedisSettings, passwords: RedisPasswords, random: () => number): Promise<Redis | Cluster> {
  const ca = await Promise.all((settings.tls?.caFiles ?? []).map((file) => readFile(file, 'utf8')));
  const way: RedisWay = { rule: addressRuleOf(settings), tls: settings.tls === null ? null : { serverName: settings.tls.serverName, ca }, master: null };
  const options = {
    ...(settings.username !== '' && { username: settings.username }),
    ...(passwords.redis !== '' && { password: passwords.redis }),
    protocol: 2 as const, connectionName: 'remora', disableClientInfo: true, connectTimeout: connectMs, noDelay: true, keepAlive: 10_000,
    maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false, enableAutoPipelining: false,
    // A master that became a replica: who is the master now is found by connecting again.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
  const retry = (times: number): number => Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(times, 10)) * (0.5 + random() / 2);
  const nodes = settings.addresses.map(hostAndPort);
  const client = settings.mode === 'cluster'
    ? new Cluster(nodes, {
      redisOptions: { ...options, Connector: redisConnector(way) }, enableOfflineQueue: false, clusterRetryStrategy: retry, scaleReads: 'master', slotsRefreshTimeout: connectMs, maxRedirections: 3,
      // The connector resolves names, and looks at what comes out.
      dnsLookup: (address, done) => done(null, address),
    })
    : new Redis({
      ...options, ...nodes[0], db: settings.database, enableOfflineQueue: false, retryStrategy: retry,
      Connector: redisConnector(settings.mode === 'single' ? way : { ...way, master: () => askSentinels(settings, nodes, passwords.sentinel, way) }),
    });
  for (const [name, lua] of Object.entries(redisScripts)) client.defineCommand(name, { numberOfKeys: 1, lua });
  return client;
}

const connectMs = 1_000;
const reconnectMinMs = 50;
const reconnectMaxMs = 2_000;

interface Node {
  readonly host: string;
  readonly port: number;
}

function hostAndPort(address: string): Node {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

function addressRuleOf({ tls, allowPrivateAddresses }: RedisSettings): AddressRule {
  if (tls === null) return 'private';
  return allowPrivateAddresses ? 'any' : 'public';
}

/** The first Sentinel that knows the master says who it is. */
async function askSentinels(settings: RedisSettings, nodes: readonly Node[], password: string, way: RedisWay): Promise<Node> {
  let problem = 'none of them was reached';
  for (const node of nodes) {
    const sentinel = new Redis({
      ...node, ...(settings.sentinelUsername !== '' && { username: settings.sentinelUsername }), ...(password !== '' && { password }),
      protocol: 2, disableClientInfo: true, Connector: redisConnector(way), retryStrategy: null, connectTimeout: connectMs, commandTimeout: connectMs, lazyConnect: true, enableReadyCheck: false, maxRetriesPerRequest: 0,
    });
    sentinel.on('error', (error: Error) => {
      problem = error.message;
    });
    try {
      await sentinel.connect();
      const found = await sentinel.call('SENTINEL', 'get-master-addr-by-name', settings.master);
      if (Array.isArray(found)) return { host: String(found[0]), port: Number(found[1]) };
      problem = `${node.host} knows no master ${settings.master}`;
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    } finally {
      sentinel.disconnect();
    }
  }
  throw new Error(`the Sentinels do not say who is the master: ${problem}`);
}
