import { codeLengths, codes, endOfString } from './huffman-code.ts';

/**
 * Decodes `bytes[at, end)` into `out` from `outAt`, four bits a step. Answers the end of the text, -1 where it is not valid: EOS in it, more than
 * seven bits of padding, or padding that is not all ones (RFC 7541 section 5.2). `out` has room for 8/5 of the input.
 */
export function decodeHuffman(bytes: Uint8Array, at: number, end: number, out: Uint8Array, outAt: number): number {
  steps ??= makeSteps();
  const table = steps;
  let to = outAt;
  let state = 0;
  let step = accepts;
  for (let i = at; i < end; i++) {
    const byte = bytes[i] as number;
    step = table[(state << 4) | (byte >> 4)] as number;
    if (step > plainMax) return -1;
    if ((step & emits) !== 0) out[to++] = step >> 8;
    step = table[((step & 255) << 4) | (byte & 15)] as number;
    if (step > plainMax) return -1;
    if ((step & emits) !== 0) out[to++] = step >> 8;
    state = step & 255;
  }
  return (step & accepts) === 0 ? -1 : to;
}

/** Bytes that the decoded text may take at most: the shortest code has five bits. */
export function decodedSizeMax(length: number): number {
  return Math.ceil((length * 8) / 5);
}

/** A step of the automaton: next state in bits 0 to 7, symbol in 8 to 15, and what it does. */
const emits = 1 << 16;
const accepts = 1 << 17;
/** EOS is in it. */
const fails = 1 << 18;
const plainMax = fails - 1;

/** Made when it is first used: making it compiles it to machine code, and most threads never see HTTP/2. */
let steps: Uint32Array | null = null;

interface Node {
  /** Where a 0 and a 1 lead; leaves have a symbol instead. */
  readonly next: [Node | null, Node | null];
  symbol: number;
}

function makeTree(): Node {
  const root: Node = { next: [null, null], symbol: -1 };
  for (let symbol = 0; symbol < codeLengths.length; symbol++) {
    let node = root;
    for (let bit = (codeLengths[symbol] as number) - 1; bit >= 0; bit--) {
      const branch = ((codes[symbol] as number) >>> bit) & 1;
      node.next[branch] ??= { next: [null, null], symbol: -1 };
      node = node.next[branch];
    }
    node.symbol = symbol;
  }
  return root;
}

/** The 256 inner nodes of the tree are the states. */
function makeSteps(): Uint32Array {
  const root = makeTree();
  const states: Node[] = [root];
  for (let i = 0; i < states.length; i++) {
    for (const child of (states[i] as Node).next) if (child !== null && child.symbol < 0) states.push(child);
  }
  const numbers = new Map(states.map((node, number) => [node, number]));
  const padding = new Set<Node>();
  for (let node: Node | null = root, bits = 0; bits < 8 && node !== null; bits++, node = node.next[1]) padding.add(node);
  const table = new Uint32Array(states.length * 16);
  states.forEach((state, number) => {
    for (let nibble = 0; nibble < 16; nibble++) table[number * 16 + nibble] = makeStep(root, state, nibble, numbers, padding);
  });
  return table;
}

function makeStep(root: Node, from: Node, nibble: number, numbers: ReadonlyMap<Node, number>, padding: ReadonlySet<Node>): number {
  let node = from;
  let step = 0;
  for (let bit = 3; bit >= 0; bit--) {
    node = node.next[(nibble >> bit) & 1] as Node;
    if (node.symbol < 0) continue;
    if (node.symbol === endOfString) return fails;
    step |= emits | (node.symbol << 8);
    node = root;
  }
  return step | (numbers.get(node) as number) | (padding.has(node) ? accepts : 0);
}
