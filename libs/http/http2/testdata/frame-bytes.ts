import { frameFlag, frameType } from '../frame-type.ts';
import { blockOf } from './header-block-reader.ts';

/** One frame, as wrong as a test wants it. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeUInt32BE(value, i * 4));
  return bytes;
}

export const prefaceBytes = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  return frame(frameType.settings, 0, 0, Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id]), uint32(value)]))));
}

export const settingsAck = frame(frameType.settings, frameFlag.ack, 0);
export const ping = frame(frameType.ping, 0, 0, Buffer.alloc(8));

export function windowUpdate(streamId: number, increment: number): Buffer {
  return frame(frameType.windowUpdate, 0, streamId, uint32(increment));
}

export function reset(streamId: number, code = 8): Buffer {
  return frame(frameType.reset, 0, streamId, uint32(code));
}

export function data(streamId: number, bytes: string | Uint8Array, end = false): Buffer {
  return frame(frameType.data, end ? frameFlag.endStream : 0, streamId, Buffer.from(bytes as Uint8Array));
}

const requestBlock = blockOf([[':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'a']]);

/** HEADERS of a small request. */
export function headers(streamId: number, { end = true, block = requestBlock, flags = 0 }: { end?: boolean; block?: Uint8Array; flags?: number } = {}): Buffer {
  return frame(frameType.headers, frameFlag.endHeaders | (end ? frameFlag.endStream : 0) | flags, streamId, block);
}

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** The frames in what a session has written. */
export function framesIn(bytes: Buffer): SeenFrame[] {
  const frames: SeenFrame[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    frames.push({ type: bytes[at + 3] as number, flags: bytes[at + 4] as number, streamId: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, at + 9 + length) });
    at += 9 + length;
  }
  return frames;
}
