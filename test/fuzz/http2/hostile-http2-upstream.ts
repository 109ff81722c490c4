import type { Socket } from 'node:net';
import { frame, prefaceBytes, settings, settingsAck, windowUpdate } from '@remora/http/http2/testdata/frame-bytes';
import { HeaderBlockReader } from '@remora/http/http2/testdata/header-block-reader';
import { tokenPattern } from '../http1/request-generator.ts';
import { play, ScriptedUpstream } from '../scripted-upstream.ts';
import type { Transport } from '../transport.ts';

/** Frames for the request with this token, on this stream. */
export type FrameScript = (streamId: number, connection: HostileConnection) => readonly Uint8Array[];

export interface HostileConnection {
  /** Set by a script that breaks it: whoever comes later may suffer too, as long as it is open. */
  broken: boolean;
}

/** An upstream of HTTP/2 that answers with the frames that were laid down for the token of a request, in segments of their own. */
export class HostileHttp2Upstream {
  readonly scripts = new Map<string, FrameScript>();
  #scripted!: ScriptedUpstream;

  static async start(transport: Transport): Promise<HostileHttp2Upstream> {
    const upstream = new HostileHttp2Upstream();
    upstream.#scripted = await ScriptedUpstream.start(transport, (socket) => upstream.#serve(socket));
    return upstream;
  }

  get port(): number {
    return this.#scripted.port;
  }

  #serve(socket: Socket): void {
    const blocks = new HeaderBlockReader();
    const connection: HostileConnection = { broken: false };
    let input: Buffer = Buffer.alloc(0);
    let prefaced = false;
    socket.once('end', () => socket.end());
    socket.write(Buffer.concat([settings([3, 100]), windowUpdate(0, 1_000_000)]));
    socket.on('data', (bytes: Buffer) => {
      input = Buffer.concat([input, bytes]);
      if (!prefaced && input.length >= prefaceBytes.length) {
        prefaced = true;
        input = input.subarray(prefaceBytes.length);
      }
      while (prefaced && input.length >= 9) {
        const length = input.readUIntBE(0, 3);
        if (input.length < 9 + length) return;
        this.#frame(socket, connection, blocks, input[3] ?? 0, input[4] ?? 0, input.readUInt32BE(5), input.subarray(9, 9 + length));
        input = input.subarray(9 + length);
      }
    });
  }

  #frame(socket: Socket, connection: HostileConnection, blocks: HeaderBlockReader, type: number, flags: number, id: number, payload: Buffer): void {
    if (type === 4 && (flags & 1) === 0) socket.write(settingsAck);
    else if (type === 6 && (flags & 1) === 0) socket.write(frame(6, 1, 0, payload));
    else if (type === 1) {
      const head = blocks.read(payload, 'request', (flags & 1) !== 0);
      const token = typeof head === 'string' ? '' : tokenPattern.exec(head.path)?.[1] ?? '';
      void play(socket, this.scripts.get(token)?.(id, connection) ?? clean(id));
    }
  }

  close(): Promise<void> {
    return this.#scripted.close();
  }
}

/** `:status: 200` and a body. */
function clean(id: number): readonly Uint8Array[] {
  return [frame(1, 4, id, Buffer.from([0x88])), frame(0, 1, id, Buffer.from('ok'))];
}
