import { HeaderBlockReader, fieldsOf } from '@remora/http/http2/testdata/header-block-reader';
import type { RawClient } from '../../processes/raw-client.ts';

/** What a client saw of one of its streams. */
export interface SeenStream {
  /** Of the final answer; 0: none. */
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly ended: boolean;
  /** RST_STREAM's code, -1 where none came. */
  readonly reset: number;
}

/** A raw connection that reads the frames which come back. */
export class FrameClient {
  readonly #client: RawClient;

  constructor(client: RawClient) {
    this.#client = client;
  }

  async send(pieces: readonly Uint8Array[]): Promise<void> {
    await this.#client.writePieces(pieces);
  }

  /** Resolves when each of the streams has ended or was reset, or the connection is over. */
  async untilResolved(streamIds: readonly number[], deadlineMs: number): Promise<void> {
    let lookedAt = -1;
    await this.#client.until('every stream has ended', () => {
      if (this.#client.bytesReceived === lookedAt) return false;
      lookedAt = this.#client.bytesReceived;
      const ended = endedStreams(Buffer.from(this.#client.text, 'latin1'));
      return ended.goneAway || streamIds.every((id) => ended.ids.has(id));
    }, deadlineMs);
  }

  /** Ends our side; resolves when the other side has too. */
  async end(deadlineMs: number): Promise<void> {
    this.#client.socket.end();
    await this.#client.untilClosed(deadlineMs);
    this.#client.destroy();
  }

  /** All streams, by number; `goAway` is the code of an error that ended the connection, 0 where there was none, -1 where not even a farewell came. Throws where no client could read what came. */
  read(methods: ReadonlyMap<number, string>): { readonly streams: ReadonlyMap<number, SeenStream>; readonly goAway: number } {
    const bytes = Buffer.from(this.#client.text, 'latin1');
    const streams = new Map<number, SeenStream>();
    const blocks = new HeaderBlockReader();
    let goAway = -1;
    for (const { type, flags, id, payload } of framesOf(bytes)) {
      const known = streams.get(id) ?? { status: 0, headers: [], body: '', ended: false, reset: -1 };
      const ended = known.ended || (flags & 1) !== 0;
      if (type === 0) streams.set(id, { ...known, body: known.body + payload.toString('latin1'), ended });
      else if (type === 1) {
        if ((flags & 4) === 0) throw new Error('a head in several frames: this client does not put them together');
        const trailers = known.status >= 200;
        const head = blocks.read(payload, trailers ? 'trailers' : 'response', (flags & 1) !== 0, methods.get(id) === 'HEAD');
        if (typeof head === 'string') throw new Error(`stream ${id}: the head cannot be read: ${head}`);
        const pairs = fieldsOf(head).map((field): [string, string] => { const colon = field.indexOf(': '); return [field.slice(0, colon), field.slice(colon + 2)]; });
        streams.set(id, trailers || head.status < 200 ? { ...known, ended } : { ...known, status: head.status, headers: pairs, ended });
      } else if (type === 3) streams.set(id, { ...known, reset: payload.readUInt32BE(0) });
      else if (type === 7) goAway = Math.max(goAway, payload.readUInt32BE(4));
    }
    return { streams, goAway };
  }
}

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

function* framesOf(bytes: Buffer): Generator<Frame> {
  for (let at = 0; at + 9 <= bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    if (at + 9 + length > bytes.length) return;
    yield { type: bytes[at + 3] ?? 0, flags: bytes[at + 4] ?? 0, id: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, at + 9 + length) };
    at += 9 + length;
  }
}

function endedStreams(bytes: Buffer): { readonly ids: ReadonlySet<number>; readonly goneAway: boolean } {
  const ids = new Set<number>();
  let goneAway = false;
  for (const { type, flags, id, payload } of framesOf(bytes)) {
    if (type === 3 || (type < 2 && (flags & 1) !== 0)) ids.add(id);
    else if (type === 7 && payload.readUInt32BE(4) !== 0) goneAway = true;
  }
  return { ids, goneAway };
}
