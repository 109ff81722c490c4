import { encodeHuffman, huffmanLength } from '@remora/http/http2/huffman-encoder';
import type { Choice } from '../choice.ts';

export type Field = readonly [name: string, value: string];

/**
 * Encodes header blocks in all the ways that RFC 7541 allows, chosen at random: indexed from the static table, literal with, without and never
 * indexed, plain or Huffman. Keeps no dynamic table: what it puts there it does not use, but the receiver must.
 */
export function encodeBlock(choice: Choice, fields: readonly Field[]): Buffer {
  const sizes = choice.once(8) ? [integer(choice.pick([0, 100, 4096]), 0x20, 0x1f)] : [];
  return Buffer.concat([...sizes, ...fields.map((field) => encodeField(choice, field))]);
}

function encodeField(choice: Choice, [name, value]: Field): Buffer {
  const exact = staticPairs.get(`${name}: ${value}`);
  if (exact !== undefined && !choice.once(3)) return integer(exact, 0x80, 0x7f);
  const [first, mask] = choice.pick([[0x00, 0x0f], [0x10, 0x0f], [0x40, 0x3f]] as const);
  const known = staticNames.get(name);
  if (known !== undefined && choice.once(2)) return Buffer.concat([integer(known, first, mask), encodeText(choice, value)]);
  return Buffer.concat([Buffer.from([first]), encodeText(choice, name), encodeText(choice, value)]);
}

function encodeText(choice: Choice, text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (choice.once(2)) return Buffer.concat([integer(bytes.length, 0, 0x7f), bytes]);
  const length = huffmanLength(bytes, 0, bytes.length);
  const out = Buffer.alloc(length);
  encodeHuffman(bytes, 0, bytes.length, out, 0);
  return Buffer.concat([integer(length, 0x80, 0x7f), out]);
}

function integer(value: number, first: number, mask: number): Buffer {
  if (value < mask) return Buffer.from([first | value]);
  const bytes = [first | mask];
  let rest = value - mask;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** Of the static table (RFC 7541 appendix A): the entries that the generator can use. */
const staticPairs: ReadonlyMap<string, number> = new Map([
  [':method: GET', 2], [':method: POST', 3], [':path: /', 4], [':scheme: http', 6], [':scheme: https', 7], ['accept-encoding: gzip, deflate', 16],
]);
const staticNames: ReadonlyMap<string, number> = new Map([
  [':authority', 1], [':method', 2], [':path', 4], [':scheme', 6], ['content-length', 28], ['cookie', 32], ['host', 38], ['transfer-encoding', 57], ['via', 60],
]);
