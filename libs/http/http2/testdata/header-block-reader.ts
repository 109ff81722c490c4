import { asText } from '../../byte-text.ts';
import { HeadArena } from '../../head-arena.ts';
import type { HeadLimits } from '../../head-scanner.ts';
import type { MessageHead } from '../../message-head.ts';
import type { FailureReason } from '../failure-reason.ts';
import { HeadAssembler, type AssembledKind } from '../head-assembler.ts';
import { HpackDecoder } from '../hpack-decoder.ts';

/** Header blocks of one connection, one after the other. */
export class HeaderBlockReader {
  readonly decoder = new HpackDecoder();
  readonly #assembler = new HeadAssembler();
  readonly #arena = new HeadArena();
  limits: HeadLimits = { bytesMax: 65_536, fieldsMax: 100 };

  /** The head, or why there is none. */
  read(block: Uint8Array, kind: AssembledKind, end = true, bodiless = false): MessageHead | FailureReason {
    this.#assembler.begin(kind, this.limits);
    const bytes = asText(Uint8Array.from(block));
    if (!this.decoder.decode(bytes, 0, bytes.length, this.#assembler)) return 'compression';
    return this.#assembler.finish(this.#arena, end, bodiless) ?? this.#assembler.failure ?? this.#assembler.excess ?? 'compression';
  }
}

export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
}

export function fieldsOf(head: MessageHead | FailureReason | null): string[] {
  if (head === null || typeof head === 'string') return [head ?? 'no head'];
  const fields: string[] = [];
  head.forEach((name, value) => fields.push(`${name}: ${value}`));
  return fields;
}

/** A literal without indexing, not encoded. Lengths below 127. */
export function literal(name: string, value: string, first = 0x00): Buffer {
  return Buffer.concat([Buffer.from([first]), string(name), string(value)]);
}

export function string(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([integer(bytes.length, 0, 0x7f), bytes]);
}

export function integer(value: number, first: number, mask: number): Buffer {
  if (value < mask) return Buffer.from([first | value]);
  const bytes = [first | mask];
  let rest = value - mask;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** `name: value` pairs as a block of literals. */
export function blockOf(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => literal(name, value)));
}
