import { readFileSync } from 'node:fs';
import net from 'node:net';

const taken = new Set<number>();

/**
 * A port of 127.0.0.1 that nobody listens on, for programs that must be told theirs, and for hosts that refuse connections. It lies below those that the system
 * hands out for port 0 and for outgoing connections: what else the machine does meanwhile does not take it. This process gets each only once.
 */
export async function freePort(): Promise<number> {
  const end = firstHandedOut();
  const begin = Math.min(10_000, end >> 1);
  for (let tries = 0; tries < 1_000; tries++) {
    const port = begin + Math.floor(Math.random() * (end - begin));
    if (taken.has(port) || !await canListen(port)) continue;
    taken.add(port);
    return port;
  }
  throw new Error(`no free port from ${begin} to ${end - 1}`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** The first port that the system chooses by itself; a usual one where it does not say. */
function firstHandedOut(): number {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10) || 32_768;
  } catch {
    return 32_768;
  }
}
