import { Choice } from '../choice.ts';
import { generateFrames } from './web-socket-frames.ts';

/** One conversation in which a client asks to switch protocols. */
export interface UpgradePlan {
  readonly seed: number;
  /** Of the client. */
  readonly version: 1 | 2;
  readonly ask: Ask;
  readonly answer: UpgradeAnswer;
  /** Ordinary requests before it on the connection. */
  readonly before: number;
  /** Sent behind the request, before there is an answer: bytes of the tunnel; where the request is an ordinary one, a further request. */
  readonly early: Buffer;
  readonly fromClient: readonly Buffer[];
  readonly fromUpstream: readonly Buffer[];
  readonly ending: Ending;
}

/** `websocket`, `other`: to be passed on. `ignored`: an ordinary request, whatever it says of upgrades. `refused`: never passed on. */
export interface Ask {
  readonly kind: 'websocket' | 'other' | 'ignored' | 'refused';
  /** Over HTTP/1.1: method, lines that ask, body. Over HTTP/2: `:protocol`. */
  readonly method: string;
  readonly lines: string;
  readonly body: string;
  readonly protocol: string;
}

export interface UpgradeAnswer {
  /** `wrong`: no switch to what was asked for. `gone`: none at all. `odd`: a switch with what has no place in it, to be carried whole or not at all. */
  readonly kind: 'switch' | 'refusal' | 'wrong' | 'odd' | 'gone';
  /** Of the answer over HTTP/1.1: status line and lines, with `KEY` where the digest of the client's key comes. */
  readonly head: string;
  readonly status: number;
  readonly body: string;
  /** Comes in the same segment as the head. */
  readonly early: Buffer;
  readonly resets: boolean;
}

export type Ending = 'client first' | 'upstream first' | 'both' | 'client resets' | 'upstream resets';

/** `mark` is in all bytes, so that whose they are can be told. */
export function generateUpgrade(seed: number, mark: string): UpgradePlan {
  const choice = new Choice(seed);
  const version = choice.pick([1, 1, 2] as const);
  const ask = version === 1 ? http1Ask(choice) : http2Ask(choice);
  const answer = generateAnswer(choice, ask, mark);
  const ordinary = ask.kind === 'ignored';
  const smuggled = `GET /t/${mark}eeeeeeee HTTP/1.1\r\nHost: app\r\n\r\n`;
  const early = ordinary ? Buffer.from(choice.once(2) ? smuggled : '') : choice.pick([Buffer.alloc(0), Buffer.from(smuggled), Buffer.concat(generateFrames(choice, mark)).subarray(0, earlyMax)]);
  return {
    seed, version, ask, answer, early, before: choice.pick([0, 0, 1, 3]),
    fromClient: generateFrames(choice, mark), fromUpstream: generateFrames(choice, mark),
    ending: choice.pick<Ending>(['client first', 'upstream first', 'both', 'client resets', 'upstream resets']),
  };
}

/** What a gateway holds of them before the switch: at most one read. */
const earlyMax = 16_000;
const webSocketLines = (choice: Choice): string => `Upgrade: ${choice.pick(['websocket', 'WebSocket', 'h2c, websocket'])}\r\nConnection: ${choice.pick(['Upgrade', 'upgrade, keep-alive', 'x, UPGRADE'])}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.from(choice.text(16, 'abcdefgh')).toString('base64')}\r\n`;

function http1Ask(choice: Choice): Ask {
  const websocket = { method: 'GET', body: '', protocol: 'websocket' };
  return choice.pick<() => Ask>([
    () => ({ ...websocket, kind: 'websocket', lines: webSocketLines(choice) }),
    () => ({ ...websocket, kind: 'websocket', lines: webSocketLines(choice) }),
    () => ({ ...websocket, kind: 'websocket', lines: webSocketLines(choice) }),
    () => ({ kind: 'other', method: choice.pick(['GET', 'POST', 'OPTIONS']), lines: `Connection: Upgrade\r\nUpgrade: ${choice.pick(['other/1', 'h2c, other/1', 'other/1, more'])}\r\n`, body: '', protocol: 'other/1' }),
    () => ({ ...websocket, kind: 'ignored', lines: `Connection: Upgrade\r\nUpgrade: ${choice.pick(['h2c', 'HTTP/2.0', 'TLS/1.0', '', 'a b', 'h2c, TLS/1.2'])}\r\n` }),
    () => ({ ...websocket, kind: 'ignored', lines: webSocketLines(choice).replace(/Connection: [^\r]*\r\n/, '') }),
    () => ({ ...websocket, kind: 'ignored', method: 'POST', lines: webSocketLines(choice) }),
    () => ({ ...websocket, kind: 'ignored', method: choice.pick(['GET', 'POST']), lines: `${webSocketLines(choice)}Content-Length: 5\r\n`, body: 'abcde' }),
  ])();
}

function http2Ask(choice: Choice): Ask {
  const kind = choice.once(6) ? 'refused' : 'websocket';
  return { kind, method: 'CONNECT', lines: '', body: '', protocol: kind === 'websocket' ? 'websocket' : choice.pick(['other/1', 'h2c', 'connect-udp']) };
}

function generateAnswer(choice: Choice, ask: Ask, mark: string): UpgradeAnswer {
  const none = { body: '', early: Buffer.alloc(0), resets: false, status: 0, head: '' };
  if (ask.kind === 'ignored') return choice.once(3) ? { ...none, kind: 'wrong', head: `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${ask.protocol}\r\n\r\n` } : { ...none, kind: 'refusal', status: 200, body: `served ${mark}` };
  const accept = ask.kind === 'websocket' ? 'Sec-WebSocket-Accept: KEY\r\n' : '';
  const start = `${choice.once(5) ? 'HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n' : ''}HTTP/1.1 101 Switching Protocols\r\n`;
  const good = `${start}Connection: Upgrade\r\nUpgrade: ${ask.protocol}\r\n${accept}\r\n`;
  const early = choice.once(2) ? Buffer.concat(generateFrames(choice, mark)) : Buffer.alloc(0);
  return choice.pick<() => UpgradeAnswer>([
    ...Array.from({ length: 5 }, () => () => ({ ...none, kind: 'switch' as const, status: 101, head: good, early })),
    () => ({ ...none, kind: 'refusal', status: 204 }),
    () => ({ ...none, kind: 'refusal', status: choice.pick([200, 400, 403, 426, 503]), body: choice.pick(['', `no ${mark}`, `HTTP/1.1 101 Switching Protocols\r\n\r\n${mark}`]) }),
    () => ({ ...none, kind: 'wrong', early, head: choice.pick([
      `${start}Connection: Upgrade\r\n${accept}\r\n`, `${start}Upgrade: ${ask.protocol}\r\n${accept}\r\n`, `${start}Connection: Upgrade\r\nUpgrade: stranger/1\r\n${accept}\r\n`,
      `${start}\r\n`, good.replace('HTTP/1.1 101', 'HTTP/1.0 101'), ...(accept === '' ? [] : [good.replace('KEY', 'wrong'), good.replace(accept, '')]),
    ]) }),
    () => ({ ...none, kind: 'odd', status: 101, early, head: good.replace('\r\n\r\n', `\r\n${choice.pick(['Content-Length: 5', 'Transfer-Encoding: chunked', 'Content-Length: 0', 'Trailer: x', 'Connection: close'])}\r\n\r\n`) }),
    () => ({ ...none, kind: 'gone', resets: choice.once(2) }),
  ])();
}
