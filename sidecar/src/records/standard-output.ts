import { write } from 'node:fs';

/**
 * Writes to descriptor 1 from this thread: the `process.stdout` of a worker would pass every line through the control thread. A pipe
 * that is full for a while is tried again; one that nobody reads any more loses the lines.
 */
export function writeToStandardOutput(lines: Buffer, done: (written: boolean) => void): void {
  writeRest(lines, 0, done);
}

function writeRest(bytes: Buffer, at: number, done: (written: boolean) => void): void {
  write(1, bytes, at, bytes.length - at, null, (error, written) => {
    if (error?.code === 'EAGAIN') setTimeout(() => writeRest(bytes, at, done), retryMs);
    else if (error) done(false);
    else if (at + written < bytes.length) writeRest(bytes, at + written, done);
    else done(true);
  });
}

const retryMs = 20;
