import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import net from 'node:net';
import tls from 'node:tls';
import { AbstractConnector, type RedisOptions } from 'ioredis';
import { mayConnect, type AddressRule } from '../helpers/helper-addresses.ts';

export interface RedisWay {
  readonly rule: AddressRule;
  /** null: plain TCP. */
  readonly tls: { readonly serverName: string; readonly ca: readonly string[] } | null;
  /** Whom Sentinels name as master now; null: the address of the connection is the server. */
  readonly master: (() => Promise<{ readonly host: string; readonly port: number }>) | null;
}

/** Makes every connection to Redis, its Cluster and its Sentinels: nowhere but where the document allows, and before anything is sent. */
export function redisConnector(way: RedisWay): NonNullable<RedisOptions['Connector']> {
  return class extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      super(0);
      this.#options = options as RedisOptions;
    }

    async connect(): Promise<net.Socket> {
      this.connecting = true;
      const { host, port } = (await way.master?.()) ?? { host: this.#options.host ?? '', port: this.#options.port ?? 0 };
      const address = await allowedAddress(host, way.rule);
      if (!this.connecting) throw new Error('the connection was given up');
      const stream = way.tls === null
        ? net.connect({ host: address, port })
        : tls.connect({ host: address, port, ...serverName(way.tls.serverName || host), minVersion: 'TLSv1.2', ...(way.tls.ca.length > 0 && { ca: [...way.tls.ca] }) });
      this.stream = stream;
      stream.once('error', (error) => {
        this.firstError = error;
      });
      return stream;
    }

    /** At once: what is disconnected is silent, or not needed any more. */
    override disconnect(): void {
      this.connecting = false;
      this.stream?.destroy();
    }

    /** By what INFO says: Sentinels may name a server that is no master any more. */
    override check(info: { readonly role?: string }): boolean {
      return way.master === null || info.role === undefined || info.role === 'master';
    }
  };
}

/** RFC 6066: an address is no server name; it is looked for in the certificate all the same. */
function serverName(name: string): { readonly servername?: string; readonly checkServerIdentity?: typeof tls.checkServerIdentity } {
  return net.isIP(name) === 0 ? { servername: name } : { checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(name, certificate) };
}

async function allowedAddress(host: string, rule: AddressRule): Promise<string> {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  const addresses = net.isIP(bare) === 0 ? await resolve(bare) : [bare];
  const allowed = addresses.find((address) => mayConnect(rule, address));
  if (allowed === undefined) throw new Error(`${host} is ${addresses[0] ?? 'nowhere'}, where Redis may not be${rule === 'public' ? ': set allowPrivateAddresses' : ''}`);
  return allowed;
}

function resolve(host: string): Promise<string[]> {
  return new Promise((done, fail) => {
    systemLookup(host, { all: true }, (error, found: LookupAddress[]) => {
      if (error) fail(error);
      else done(found.map(({ address }) => address));
    });
  });
}
