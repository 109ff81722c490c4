import { writeProxyHeader } from '@remora/http/first-bytes/write-proxy-header';
import type { Exchange } from '@remora/policy-kit/exchange';

/** What tells clients apart by what an upstream is told about them. */
export function clientKey({ clientAddress, connection }: Exchange): string {
  return `${clientAddress}|${clientPort(clientAddress, connection)}|${connection.localAddress}|${connection.localPort}|${connection.serverName}`;
}

/**
 * The PROXY protocol header for the client of an exchange: its address as policies and logs have it, and where it connected to. A port is only known
 * where the address is that of its connection; 0 stands for a client behind a trusted proxy.
 */
export function clientHeader(version: 1 | 2, { clientAddress, connection }: Exchange): Buffer {
  return writeProxyHeader({
    version,
    addresses: {
      sourceAddress: withoutZone(clientAddress), sourcePort: clientPort(clientAddress, connection),
      destinationAddress: withoutZone(connection.localAddress), destinationPort: connection.localPort,
    },
    authority: connection.serverName,
  });
}

function clientPort(address: string, { peerAddress, peerPort }: Exchange['connection']): number {
  return address === peerAddress ? peerPort : 0;
}

/** Link-local addresses have the name of an interface of this host behind them. */
function withoutZone(address: string): string {
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}
