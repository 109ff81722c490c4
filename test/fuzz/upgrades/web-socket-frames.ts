import type { Choice } from '../choice.ts';

/**
 * Bytes as one end of a WebSocket may send them, and as it may not (RFC 6455 section 5): every way to say a length, masks or none, fragments with control frames between
 * them, control frames that are too long or cut, reserved bits and opcodes, lengths that never come. Whoever carries them changes none of it.
 */
export function generateFrames(choice: Choice, mark: string): Buffer[] {
  return Array.from({ length: choice.pick([0, 1, 2, 5, 12]) }, () => choice.pick(makers)(choice, mark));
}

type Maker = (choice: Choice, mark: string) => Buffer;

const makers: readonly Maker[] = [
  (choice, mark) => frame(choice, choice.pick([1, 2]), text(choice, mark, choice.below(200))),
  (choice, mark) => frame(choice, choice.pick([1, 2]), text(choice, mark, choice.pick([0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 70_000]))),
  // A message in fragments, with a control frame between them.
  (choice, mark) => Buffer.concat([frame(choice, 1, text(choice, mark, 20), { fin: false }), frame(choice, choice.pick([9, 10]), text(choice, mark, 5)), frame(choice, 0, text(choice, mark, 30), { fin: choice.once(2) })]),
  (choice, mark) => frame(choice, choice.pick([8, 9, 10]), text(choice, mark, choice.pick([0, 1, 2, 125, 126, 127, 1000])), { fin: choice.once(4) }),
  (choice, mark) => frame(choice, choice.between(3, 15), text(choice, mark, 10), { reserved: choice.below(8) }),
  // Lengths in more bytes than they need, and beyond what comes.
  (choice, mark) => Buffer.concat([Buffer.from([0x82, 126, 0, 5]), text(choice, mark, 5)]),
  (choice, mark) => Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5]), text(choice, mark, 5)]),
  (choice, mark) => Buffer.concat([Buffer.from([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]), text(choice, mark, 100)]),
  (choice, mark) => Buffer.concat([Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]), text(choice, mark, 100)]),
  // What looks like the end of HTTP, or like its beginning.
  (_, mark) => Buffer.from(`GET /t/${mark}dddddddd HTTP/1.1\r\nHost: smuggled\r\n\r\n`),
  (_, mark) => Buffer.from(`HTTP/1.1 200 OK\r\nX-Token: ${mark}\r\nContent-Length: 0\r\n\r\n`),
  () => Buffer.from('0\r\n\r\n'),
  () => Buffer.from([0, 0, 0, 1, 5, 0, 0, 0, 1]),
  (choice, mark) => text(choice, mark, choice.pick([1, 3, 300])),
];

function text(choice: Choice, mark: string, length: number): Buffer {
  const letter = choice.pick(['x', '\xff', '\0', 'é']);
  return Buffer.from(mark.padEnd(length, letter).slice(0, length), 'latin1');
}

function frame(choice: Choice, opcode: number, payload: Buffer, { fin = true, reserved = 0 } = {}): Buffer {
  const { length } = payload;
  const masked = choice.once(2);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const bit = masked ? 0x80 : 0;
  const head = length < 126 ? [first, bit | length] : length < 65_536 ? [first, bit | 126, length >> 8, length & 255] : [first, bit | 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255];
  if (!masked) return Buffer.concat([Buffer.from(head), payload]);
  const key = [choice.below(256), choice.below(256), choice.below(256), choice.below(256)];
  return Buffer.concat([Buffer.from([...head, ...key]), payload.map((byte, i) => byte ^ (key[i % 4] ?? 0))]);
}
