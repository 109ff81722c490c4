import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { Socket } from 'node:net';

/** Connections that end when an answer is too large: the client would keep all of it in memory. */
export function boundedAgent(options: { readonly secure: boolean; readonly authority: string; readonly answerBytes: number }): HttpAgent {
  const { secure, authority, answerBytes } = options;
  // Each question waits on a connection of its own; they are kept for the next.
  const settings: AgentOptions = { keepAlive: true, ...(secure && authority !== '' && { ca: authority }) };
  const agent = secure ? new HttpsAgent(settings) : new HttpAgent(settings);
  const reused = agent.reuseSocket.bind(agent);
  agent.reuseSocket = (socket, request) => {
    reused(socket, request);
    count(socket, answerBytes);
  };
  const create = agent.createConnection.bind(agent);
  agent.createConnection = (how, callback) => {
    const socket = create(how, callback);
    if (socket) count(socket, answerBytes);
    return socket;
  };
  return agent;
}

const counters = new WeakMap<Duplex, { bytes: number }>();

/** Counts from now on what the socket brings. */
function count(socket: Duplex, answerBytes: number): void {
  const known = counters.get(socket);
  if (known) {
    known.bytes = 0;
    return;
  }
  const counter = { bytes: 0 };
  counters.set(socket, counter);
  if (!(socket instanceof Socket)) return;
  socket.on('data', (chunk: Buffer) => {
    counter.bytes += chunk.length;
    if (counter.bytes > answerBytes) socket.destroy(new Error(`its answer has more than ${answerBytes} bytes`));
  });
}
