import net from 'node:net';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** Frame types, as the tests name them. */
export const T = { data: 0, headers: 1, reset: 3, settings: 4, push: 5, ping: 6, goAway: 7, window: 8, continuation: 9 } as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

/** A frame, right or wrong. */
export function frame(type: number, flags: number, id: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload as string, 'latin1');
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id & 0x7fffffff, 5);
  return Buffer.concat([head, bytes]);
}

export const settings = (...pairs: readonly (readonly [id: number, value: number])[]): Buffer => frame(T.settings, 0, 0, Buffer.concat(pairs.map(([id, value]) => {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id, 0);
  bytes.writeUInt32BE(value, 2);
  return bytes;
})));
export const maxStreams = (value: number): readonly [number, number] => [3, value];
export const initialWindow = (value: number): readonly [number, number] => [4, value];

export const reset = (id: number, code: number): Buffer => frame(T.reset, 0, id, word(code));
export const goAway = (last: number, code = 0): Buffer => frame(T.goAway, 0, 0, Buffer.concat([word(last), word(code)]));
export const windowUpdate = (id: number, by: number): Buffer => frame(T.window, 0, id, word(by));
export const data = (id: number, text: Uint8Array | string, end = true): Buffer => frame(T.data, end ? END_STREAM : 0, id, text);
export const trailers = (id: number, fields: Record<string, string>): Buffer => frame(T.headers, END_STREAM | END_HEADERS, id, fieldBlock(fields));

/** A response head; `:status` 200 unless told. */
export function head(id: number, fields: Record<string, string> = {}, end = false): Buffer {
  return frame(T.headers, END_HEADERS | (end ? END_STREAM : 0), id, fieldBlock({ ':status': '200', ...fields }));
}

/** Literals that are not indexed, without Huffman coding; texts shorter than 127 bytes, or one length of two bytes. */
export function fieldBlock(fields: Record<string, string>): Buffer {
  return Buffer.concat(Object.entries(fields).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  const lengths = bytes.length < 127 ? [bytes.length] : [127, ...varint(bytes.length - 127)];
  return Buffer.concat([Buffer.from(lengths), bytes]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)];
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Tests only: one HTTP/2 connection of an upstream, frame by frame as the test wants it. */
export class FrameEnd {
  readonly frames: Frame[] = [];
  closed = false;
  readonly #socket: net.Socket;
  #rest = Buffer.alloc(0);
  #prefaceLeft = preface.length;
  #waiting: (() => void)[] = [];

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
    socket.on('end', () => socket.end());
  }

  #read(bytes: Buffer): void {
    const from = Math.min(this.#prefaceLeft, bytes.length);
    this.#prefaceLeft -= from;
    this.#rest = Buffer.concat([this.#rest, bytes.subarray(from)]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) break;
      this.frames.push({ type: this.#rest[3] ?? 0, flags: this.#rest[4] ?? 0, id: this.#rest.readUInt32BE(5) & 0x7fffffff, payload: Buffer.from(this.#rest.subarray(9, 9 + length)) });
      this.#rest = this.#rest.subarray(9 + length);
    }
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  send(...parts: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(parts));
  }

  drop(): void {
    this.#socket.destroy();
  }

  stopReading(): void {
    this.#socket.pause();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  /** The nth request's stream id, when its head has come. */
  async request(nth = 1): Promise<number> {
    const heads = (): Frame[] => this.frames.filter(({ type }) => type === T.headers);
    await this.until(() => heads().length >= nth || this.closed);
    return heads()[nth - 1]?.id ?? -1;
  }

  /** The first frame of a type, from the nth on. */
  async frame(type: number, nth = 1): Promise<Frame | null> {
    const found = (): Frame | undefined => this.frames.filter((one) => one.type === type)[nth - 1];
    await this.until(() => found() !== undefined || this.closed);
    return found() ?? null;
  }

  untilClosed(): Promise<void> {
    return this.until(() => this.closed);
  }
}

/** Tests only: an HTTP/2 upstream that does what the test says on each of its connections. It has sent its SETTINGS by then, unless told not to. */
export class FrameServer {
  readonly ends: FrameEnd[] = [];
  port = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(behave: (end: FrameEnd, nth: number) => unknown, greeting: Uint8Array) {
    this.#server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      const end = new FrameEnd(socket);
      this.ends.push(end);
      end.send(greeting, frame(T.settings, 1, 0));
      void behave(end, this.ends.length);
    });
  }

  static async start(behave: (end: FrameEnd, nth: number) => unknown, greeting: Uint8Array = settings()): Promise<FrameServer> {
    const started = new FrameServer(behave, greeting);
    await new Promise<void>((resolve) => {
      started.#server.listen(0, '127.0.0.1', resolve);
    });
    started.port = (started.#server.address() as net.AddressInfo).port;
    return started;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** An upstream that answers every request with its stream's number. */
export async function answerAll(end: FrameEnd, from = 1): Promise<void> {
  for (let nth = from; !end.closed; nth++) {
    const id = await end.request(nth);
    if (id > 0) end.send(head(id), data(id, `stream ${id}`));
  }
}

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
