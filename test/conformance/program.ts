import { spawn } from 'node:child_process';

export interface ProgramResult {
  /** null where it was ended for taking too long. */
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program to its end and keeps what it prints (standard output and error, at most 16 MiB). */
export function runProgram(command: readonly string[], options: { readonly timeoutMs: number; readonly env?: Readonly<Record<string, string>> }): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } });
    let output = '';
    const keep = (text: string): void => { if (output.length < outputMax) output += text; };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

const outputMax = 16 * 1024 * 1024;
