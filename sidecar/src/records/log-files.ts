import { WireError, type LogFile } from '@remora/policy-kit/runtime-kind';
import { LogLines } from './log-lines.ts';
import { RotatingLogFile } from './rotating-log-file.ts';

/** At most this many different files per sidecar; a snapshot that asks for more is refused. */
export const logFilesMax = 16;

/** The log files of one data thread, by name: every filter that names a file writes to the same one. */
export class LogFiles {
  readonly #folder: string;
  readonly #worker: number;
  readonly #after: (delayMs: number, run: () => void) => void;
  readonly #open = new Map<string, { readonly file: RotatingLogFile; readonly lines: LogLines }>();

  constructor(folder: string, worker: number, after: (delayMs: number, run: () => void) => void) {
    this.#folder = folder;
    this.#worker = worker;
    this.#after = after;
  }

  get dropped(): number {
    let total = 0;
    for (const { file, lines } of this.#open.values()) total += lines.dropped + file.failedWrites;
    return total;
  }

  /** Nothing is created before the first line. Throws WireError where too many files are in use. */
  open(target: LogFile): (line: string) => void {
    let entry = this.#open.get(target.name);
    if (entry === undefined) {
      if (this.#open.size >= logFilesMax) throw new WireError('/file/name', 'too-many', `more than ${logFilesMax} log files are in use`);
      const file = new RotatingLogFile(this.#folder, target, this.#worker);
      entry = { file, lines: new LogLines((lines, done) => file.append(lines, done), this.#after) };
      this.#open.set(target.name, entry);
    } else entry.file.retarget(target);
    const { lines } = entry;
    return (line) => lines.add(line);
  }

  flush(): void {
    for (const { lines } of this.#open.values()) lines.flush();
  }
}
