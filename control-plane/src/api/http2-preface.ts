import type { Socket } from 'node:net';

/** A frame header of HTTP/2 (RFC 9113 section 4.1) with its payload. */
function frame(type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  return Buffer.concat([header, payload]);
}

const settingsFrame = 0x4;
const goawayFrame = 0x7;
/** RFC 9113 section 7: the endpoint requires HTTP/1.1. */
const http11Required = 0xd;

/**
 * Answers a client that speaks HTTP/2 to a port of HTTP/1.1 in its own language: an empty SETTINGS, as the preface demands,
 * and a GOAWAY whose debug data says what is wrong.
 */
export function refuseHttp2(socket: Socket, text: string): void {
  const goaway = Buffer.alloc(8);
  goaway.writeUInt32BE(http11Required, 4);
  socket.end(Buffer.concat([frame(settingsFrame, Buffer.alloc(0)), frame(goawayFrame, Buffer.concat([goaway, Buffer.from(text)]))]));
}
