/** Clients that misbehave, in a thread of their own: as many of each kind as the data says, until the thread is ended. */
import { connect, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

export interface ChaosPlan {
  readonly port: number;
  /** Of an app that answers GET with a megabyte, and anything else when it has all of the body. What is under / answers at once. */
  readonly appPath: string;
  /** Connections that stay open and silent. */
  readonly idle: number;
  /** A byte of a request head every half second. */
  readonly slowHeads: number;
  /** Ten bytes of a body every half second, to the app. */
  readonly slowBodies: number;
  /** The same to who answers at once, so that each is thrown out with its answer, and comes back: five new connections a second each. */
  readonly returning: number;
  /** Ask for the big answer and do not read it. */
  readonly slowReads: number;
  /** New connections a second that send half a request and end their side. */
  readonly halfOpenPerSecond: number;
  /** Heads of 100 KiB a second. */
  readonly floodsPerSecond: number;
  /** Requests on one connection, all at once, again and again. */
  readonly pipelined: number;
  /** Connections that send bodies in chunks of one byte. */
  readonly tinyChunks: number;
  /** Connections a second that are reset in the middle of their request. */
  readonly resetsPerSecond: number;
}

const sockets = new Set<Socket>();

function open(plan: ChaosPlan, begin: (socket: Socket) => void, again: (() => void) | null): void {
  const socket = connect(plan.port, '127.0.0.1');
  sockets.add(socket);
  socket.on('error', () => {});
  socket.once('close', () => {
    sockets.delete(socket);
    // Whoever is thrown out comes back.
    if (again !== null) setTimeout(again, 200);
  });
  socket.once('connect', () => begin(socket));
}

function repeat(count: number, start: () => void): void {
  // In groups, so that no backlog overflows.
  for (let i = 0; i < count; i++) setTimeout(start, (i >> 6) * 20);
}

/**
 * Writes `piece` every half second for as long as the socket lives, at a moment of its own: hundreds that write in one turn of this thread would hold up whoever
 * measures beside it.
 */
function dribble(socket: Socket, piece: string): void {
  let timer = setTimeout(() => {
    timer = setInterval(() => socket.write(piece), dribbleMs);
  }, Math.random() * dribbleMs);
  socket.once('close', () => clearTimeout(timer));
}

const dribbleMs = 500;

function startChaos(plan: ChaosPlan): void {
  const idle = (): void => open(plan, (socket) => socket.resume(), idle);
  const slowHead = (): void => open(plan, (socket) => {
    socket.resume().write('GET / HTTP/1.1\r\nx-slow: ');
    dribble(socket, 'a');
  }, slowHead);
  const slowBody = (): void => open(plan, (socket) => {
    socket.resume().write(`POST ${plan.appPath} HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n`);
    dribble(socket, '0123456789');
  }, slowBody);
  const returning = (): void => open(plan, (socket) => {
    socket.resume().write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n');
    dribble(socket, '0123456789');
  }, returning);
  const slowRead = (): void => open(plan, (socket) => socket.pause().write(`GET ${plan.appPath} HTTP/1.1\r\nhost: a\r\n\r\n`), slowRead);
  const tinyChunks = (): void => open(plan, (socket) => socket.resume().write(`POST ${plan.appPath} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(4_000)}0\r\n\r\n`), tinyChunks);
  const pipelined = (): void => open(plan, (socket) => {
    let left = plan.pipelined;
    socket.on('data', (bytes: Buffer) => {
      for (let at = bytes.indexOf('HTTP/1.1 '); at >= 0; at = bytes.indexOf('HTTP/1.1 ', at + 9)) left--;
      if (left <= 0) socket.destroy();
    });
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(plan.pipelined));
  }, pipelined);
  repeat(plan.idle, idle);
  repeat(plan.slowHeads, slowHead);
  repeat(plan.slowBodies, slowBody);
  repeat(plan.returning, returning);
  repeat(plan.slowReads, slowRead);
  repeat(plan.tinyChunks, tinyChunks);
  if (plan.pipelined > 0) pipelined();
  const flood = `GET / HTTP/1.1\r\nhost: a\r\n${`x-flood: ${'f'.repeat(1_000)}\r\n`.repeat(100)}\r\n`;
  every(plan.halfOpenPerSecond, () => open(plan, (socket) => socket.resume().end('GET /half HTTP/1.1\r\nhost:'), null));
  every(plan.floodsPerSecond, () => open(plan, (socket) => socket.resume().end(flood), null));
  every(plan.resetsPerSecond, () => open(plan, (socket) => socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf', () => socket.resetAndDestroy()), null));
}

function every(perSecond: number, work: () => void): void {
  if (perSecond > 0) setInterval(work, 1_000 / perSecond);
}

if (parentPort !== null) startChaos(workerData as ChaosPlan);
