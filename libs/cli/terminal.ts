/** Everything a command sees of the world around it: replaced by tests and by programs that embed commands. */
export interface Terminal {
  /** Writes to standard output: the answer, and nothing else. */
  out(text: string): void;
  /** Writes to standard error: progress, warnings, failures. */
  err(text: string): void;
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  /** Width of the terminal in characters; 100 where it is none. */
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative file names start from. */
  readonly cwd: string;
  /** All of standard input as UTF-8, at most `bytesMax`. */
  readStdin(bytesMax: number): Promise<Uint8Array>;
  /** Aborted at Ctrl-C or when whoever embeds the command gives up. */
  readonly signal: AbortSignal;
  /** Wall time in milliseconds, for "12 s ago". */
  now(): number;
}

/** The terminal of this process. */
export function processTerminal(signal: AbortSignal, env: Terminal['env']): Terminal {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    outIsTerminal: process.stdout.isTTY,
    errIsTerminal: process.stderr.isTTY,
    columns: process.stdout.columns ?? 100,
    env,
    cwd: process.cwd(),
    readStdin: (bytesMax) => readAll(process.stdin, bytesMax),
    signal,
    now: () => Date.now(),
  };
}

async function readAll(stream: AsyncIterable<unknown>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    size += bytes.length;
    if (size > bytesMax) throw new RangeError(`standard input is longer than ${bytesMax} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
