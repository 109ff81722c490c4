import type { Socket } from 'node:net';
import { play, ScriptedUpstream } from '../scripted-upstream.ts';
import type { Transport } from '../transport.ts';
import { tokenPattern } from './request-generator.ts';

/** What to answer, in which pieces, and whether the connection ends then. */
export interface ScriptedAnswer {
  readonly pieces: readonly Uint8Array[];
  readonly ends: boolean;
  /** After these bytes nobody may send a request on the connection. */
  readonly spoils: boolean;
}

/** An upstream that answers with the bytes that were laid down for the token of a request. Requests have no bodies. */
export class HostileUpstream {
  readonly scripts = new Map<string, ScriptedAnswer>();
  /** Tokens of requests that came on a connection that was spoiled before. */
  readonly reused: string[] = [];
  #scripted!: ScriptedUpstream;

  static async start(transport: Transport): Promise<HostileUpstream> {
    const upstream = new HostileUpstream();
    upstream.#scripted = await ScriptedUpstream.start(transport, (socket) => upstream.#serve(socket));
    return upstream;
  }

  get port(): number {
    return this.#scripted.port;
  }

  #serve(socket: Socket): void {
    let text = '';
    let spoiled = false;
    socket.once('end', () => socket.end());
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const token = tokenPattern.exec(text.slice(0, end))?.[1] ?? '';
        text = text.slice(end + 4);
        const script = this.scripts.get(token) ?? clean;
        if (spoiled) this.reused.push(token);
        spoiled ||= script.spoils;
        void play(socket, script.pieces).then(() => { if (script.ends) socket.end(); });
      }
    });
  }

  close(): Promise<void> {
    return this.#scripted.close();
  }
}

const clean: ScriptedAnswer = { pieces: [Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')], ends: false, spoils: false };
