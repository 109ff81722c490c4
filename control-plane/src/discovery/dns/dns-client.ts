import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Timers } from '@remora/core/clock';
import { decodeMessage, dnsTypes, encodeQuestion, type DnsMessage, type DnsType } from './dns-message.ts';

export interface DnsServer {
  readonly host: string;
  readonly port: number;
}

/**
 * Asks DNS servers, one after the other, until one has an answer. Not `node:dns`: that has no time to live for SRV records, nor for "there is none", and does not say
 * which server failed how.
 */
export interface DnsClient {
  /** An answer with code 0 (also without records) or 3 (no such name). Rejects with a DnsError where no server gave one in time. */
  ask(servers: readonly DnsServer[], name: string, type: DnsType): Promise<DnsMessage>;
}

/** What no server could answer: the message names servers and reasons. */
export class DnsError extends Error {}

export interface DnsClientLimits {
  /** For one server. */
  readonly attemptMs: number;
  /** How often all servers are asked. */
  readonly rounds: number;
  readonly tcpBytesMax: number;
}

const defaultLimits: DnsClientLimits = { attemptMs: 1_500, rounds: 2, tcpBytesMax: 65_535 };
const codes = new Map([[1, 'format error'], [2, 'server failure (SERVFAIL)'], [4, 'not implemented'], [5, 'refused']]);

export function createDnsClient(deps: { readonly timers: Timers; readonly limits?: Partial<DnsClientLimits> }): DnsClient {
  const limits = { ...defaultLimits, ...deps.limits };
  return {
    async ask(servers, name, type) {
      if (servers.length === 0) throw new DnsError('there is no DNS server to ask');
      const reasons = new Map<string, string>();
      for (let round = 0; round < limits.rounds; round++) {
        for (const server of servers) {
          const outcome = await askOne(server, name, type, deps.timers, limits);
          if (typeof outcome !== 'string') return outcome;
          reasons.set(`${server.host}:${server.port}`, outcome);
        }
      }
      throw new DnsError([...reasons].map(([server, reason]) => `${server}: ${reason}`).join('; '));
    },
  };
}

/** A sentence where it has no answer. */
async function askOne(server: DnsServer, name: string, type: DnsType, timers: Timers, limits: DnsClientLimits): Promise<DnsMessage | string> {
  // Nobody who does not see the question can guess the number and the port it came from.
  const id = randomInt(0x10000);
  const question = encodeQuestion(id, name, type);
  const answers = (message: DnsMessage | null): message is DnsMessage =>
    message !== null && message.isResponse && message.id === id && message.question.type === dnsTypes[type] && message.question.name === name.replace(/\.$/, '').toLowerCase();
  const overUdp = await exchangeUdp(server, question, answers, timers, limits);
  const outcome = typeof overUdp !== 'string' && overUdp.truncated ? await exchangeTcp(server, question, answers, timers, limits) : overUdp;
  if (typeof outcome === 'string' || outcome.code === 0 || outcome.code === 3) return outcome;
  return codes.get(outcome.code) ?? `answered with code ${outcome.code}`;
}

type Accepts = (message: DnsMessage | null) => message is DnsMessage;

function exchangeUdp(server: DnsServer, question: Buffer, accepts: Accepts, timers: Timers, { attemptMs }: DnsClientLimits): Promise<DnsMessage | string> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.host) ? 'udp6' : 'udp4');
    const done = (outcome: DnsMessage | string): void => {
      timer.cancel();
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close();
      resolve(outcome);
    };
    const timer = timers.after(attemptMs, () => done(`no answer within ${attemptMs} ms`));
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    socket.on('message', (bytes) => {
      const message = decodeMessage(bytes);
      // What answers another question is not ours, and may be forged: the right one may still come.
      if (accepts(message)) done(message);
    });
    // Connected, it hears this server only, and of its port being closed.
    socket.connect(server.port, server.host, () => socket.send(question));
  });
}

function exchangeTcp(server: DnsServer, question: Buffer, accepts: Accepts, timers: Timers, { attemptMs, tcpBytesMax }: DnsClientLimits): Promise<DnsMessage | string> {
  return new Promise((resolve) => {
    const socket = connect({ host: server.host, port: server.port });
    let received: Buffer = Buffer.alloc(0);
    const done = (outcome: DnsMessage | string): void => {
      timer.cancel();
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      resolve(outcome);
    };
    const timer = timers.after(attemptMs, () => done(`no answer over TCP within ${attemptMs} ms`));
    socket.on('error', (error: NodeJS.ErrnoException) => done(`over TCP: ${error.code ?? error.message}`));
    socket.on('end', () => done('it ended the connection before its answer'));
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(question.length);
      socket.write(Buffer.concat([length, question]));
    });
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      const size = received.length < 2 ? tcpBytesMax : received.readUInt16BE(0);
      if (received.length < size + 2) return;
      const message = decodeMessage(received.subarray(2, size + 2));
      done(accepts(message) ? message : 'its answer over TCP cannot be read');
    });
  });
}
