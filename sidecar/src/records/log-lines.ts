/** Where access-log lines end up: takes whole lines, calls back when it can take more; `false` where they were lost. The bytes are its own until then. */
export type LogWriter = (lines: Buffer, done: (written?: boolean) => void) => void;

/**
 * Lines of the access log, gathered as the bytes that will be written, and written together: every `flushMs` or `flushBytes`, one write at a time. Behind
 * a slow disk or pipe at most `bufferMax` bytes wait; further lines are dropped and counted, requests never wait.
 */
export class LogLines {
  dropped = 0;
  readonly #write: LogWriter;
  readonly #after: (delayMs: number, run: () => void) => void;
  /** What is being filled. */
  #piece: Piece | null = null;
  /** Full ones behind a write that is under way, the oldest first. */
  readonly #waiting: Piece[] = [];
  #waitingBytes = 0;
  /** Written, and filled next: a busy log needs two. */
  #spare: Piece | null = null;
  #writing = false;
  #scheduled = false;

  constructor(write: LogWriter, after: (delayMs: number, run: () => void) => void) {
    this.#write = write;
    this.#after = after;
  }

  add(line: string): void {
    const bytesMax = line.length * bytesPerCharacter + 1;
    const used = this.#piece?.end ?? 0;
    if (this.#waitingBytes + used + bytesMax > bufferMax) {
      this.dropped++;
      return;
    }
    const piece = this.#pieceFor(bytesMax);
    piece.end += piece.bytes.write(line, piece.end);
    piece.bytes[piece.end++] = lineEnd;
    piece.lines++;
    if (piece.end >= flushBytes) this.flush();
    else if (!this.#scheduled) this.#schedule();
  }

  #pieceFor(bytes: number): Piece {
    const filling = this.#piece;
    if (filling !== null) {
      if (filling.bytes.length - filling.end >= bytes) return filling;
      this.#waiting.push(filling);
      this.#waitingBytes += filling.end;
    }
    const spare = this.#spare;
    this.#spare = null;
    return this.#piece = spare !== null && spare.bytes.length >= bytes ? spare : { bytes: Buffer.allocUnsafeSlow(Math.max(pieceBytes, bytes)), end: 0, lines: 0 };
  }

  flush(): void {
    if (this.#writing) return;
    const piece = this.#takeNext();
    if (piece === null) return;
    this.#writing = true;
    this.#write(piece.bytes.subarray(0, piece.end), (written = true) => {
      this.#writing = false;
      if (!written) this.dropped += piece.lines;
      this.#keep(piece);
      if (this.#waiting.length > 0 || (this.#piece?.end ?? 0) >= flushBytes) this.flush();
      else if (this.#piece !== null && !this.#scheduled) this.#schedule();
    });
  }

  #takeNext(): Piece | null {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      this.#waitingBytes -= waiting.end;
      return waiting;
    }
    const filling = this.#piece;
    this.#piece = null;
    return filling;
  }

  #keep(piece: Piece): void {
    if (piece.bytes.length > pieceBytes) return;
    piece.end = 0;
    piece.lines = 0;
    this.#spare = piece;
  }

  #schedule(): void {
    this.#scheduled = true;
    this.#after(flushMs, () => {
      this.#scheduled = false;
      this.flush();
    });
  }
}

interface Piece {
  readonly bytes: Buffer;
  end: number;
  lines: number;
}

const flushMs = 100;
const flushBytes = 64 * 1024;
/** Room behind `flushBytes` for what comes while the piece before is being written. */
const pieceBytes = 80 * 1024;
const bufferMax = 1024 * 1024;
/** Of a UTF-16 unit in UTF-8, at most. */
const bytesPerCharacter = 3;
const lineEnd = 10;
