import { connect, type Socket } from 'node:net';
import { Agent } from 'node:http';
import { ask, type Answer } from '../processes/traffic.ts';
import { visitByHttp2 } from './http2-visit.ts';

export interface Clients {
  readonly counts: { answered: number; failed: number; refused: number; broken: number };
  /** Of what failed: the sidecar's reason code, the status where it gave none, or why no answer came. */
  readonly reasons: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

export interface ClientsOptions {
  readonly gateway: number;
  readonly outbound: number;
  /** Pause between two requests of one client, in milliseconds. */
  readonly pauseMs: number;
}

/**
 * Clients of every kind: keep-alive and one-shot requests through the gateway, calls through the outbound side, refused ones, connections of HTTP/2 with streams that are given up, and connections that are broken
 * off, left idle or half a request long.
 */
export function startClients({ gateway, outbound, pauseMs }: ClientsOptions): Clients {
  const counts = { answered: 0, failed: 0, refused: 0, broken: 0 };
  const reasons = new Map<string, number>();
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  let running = true;
  let round = 0;
  const count = ({ status, headers, error }: Answer): void => {
    if (status === 429) counts.refused++;
    else if (status >= 200 && status < 300) counts.answered++;
    else {
      counts.failed++;
      const reason = String(headers['x-remora-reason'] ?? (status === 0 ? error : status));
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  };
  const lane = async (work: (round: number) => Promise<void>): Promise<void> => {
    while (running) {
      await work(round++);
      await pause(pauseMs);
    }
  };
  const lanes = [
    lane(async (n) => count(await ask({ port: gateway, path: n % 3 === 0 ? `/churn-${n % 48}` : '/keep', agent }))),
    lane(async (n) => count(await ask({ port: gateway, path: n % 4 === 0 ? '/pool' : '/one-shot', headers: { connection: 'close' } }))),
    lane(async () => count(await ask({ port: outbound, path: '/pool', host: 'pool', agent }))),
    lane(async () => count(await ask({ port: gateway, path: '/refused', agent }))),
    lane(async (n) => (await visitByHttp2(gateway, n)).forEach(count)),
    lane(async (n) => {
      await breakOff(gateway, n);
      counts.broken++;
    }),
  ];
  return {
    counts,
    reasons,
    async stop() {
      running = false;
      await Promise.all(lanes);
      agent.destroy();
    },
  };
}

const fragments = [
  '', 'GET / HTTP/1.1\r\nhost:', 'GET /slow HTTP/1.1\r\nhost: a\r\n\r\n', 'POST /big HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nhalf', 'nonsense\r\n\r\n',
  'GET /keep HTTP/1.1\r\nhost: a\r\n\r\nGET /keep HTTP/1.1\r\nhost: a\r\n\r\n',
];

/** Sends a part of a request and goes away, in one of three ways. */
async function breakOff(port: number, round: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
    socket.once('close', () => resolve());
  });
  socket.resume().write(fragments[round % fragments.length] ?? '');
  await pause(20);
  leave(socket, round);
}

function leave(socket: Socket, round: number): void {
  if (round % 3 === 0) socket.resetAndDestroy();
  else if (round % 3 === 1) socket.destroy();
  else {
    socket.end();
    // Half-open for a moment.
    setTimeout(() => socket.destroy(), 500);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
