import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A part of an embedded Remora: a process of this command's tree, ended with it. */
export interface ChildPart {
  readonly name: string;
  readonly pid: number;
  /** Facts of the line that says where it listens. Rejects where it ends or says nothing in time. */
  readonly listening: Promise<Readonly<Record<string, unknown>>>;
  /** Resolves with a sentence when the process has ended, for whatever reason. */
  readonly ended: Promise<string>;
  /** SIGTERM, then SIGKILL after a while. */
  stop(): Promise<void>;
  killNow(): void;
}

export interface ChildPlan {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What it prints beside events, line by line. */
  readonly onLine: (line: string) => void;
}

const listenMs = 30_000;
const stopMs = 10_000;

/** Starts this same program again, as one of its parts. */
export function startChild(plan: ChildPlan): ChildPart {
  const script = process.argv[1] ?? '';
  const child = spawn(process.execPath, [...process.execArgv, script, ...plan.args], { env: { ...plan.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${plan.name} could not be started: ${error.message}`));
    child.once('close', (code, signal) => resolve(`${plan.name} ended with ${signal ?? `code ${code}`}`));
  });
  const listening = readListening(child, plan, ended);
  listening.catch(() => {}); // whoever waits for it is told; nobody may be
  return {
    name: plan.name,
    pid: child.pid ?? 0,
    listening,
    ended,
    stop: () => stopChild(child, ended),
    killNow: () => void child.kill('SIGKILL'),
  };
}

function readListening(child: ChildProcess, plan: ChildPlan, ended: Promise<string>): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${plan.name} did not listen within ${listenMs / 1000} s`)), listenMs);
    void ended.then((how) => {
      clearTimeout(timer);
      reject(new Error(how));
    });
    const take = (line: string): void => {
      const event = parseEvent(line);
      if (event === null) return plan.onLine(line);
      if (event['event'] !== 'listening') return;
      clearTimeout(timer);
      resolve(event);
    };
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', take);
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', plan.onLine);
  });
}

async function stopChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await ended;
  clearTimeout(timer);
}

function parseEvent(line: string): Record<string, unknown> | null {
  if (!line.startsWith('{')) return null;
  try {
    const value = JSON.parse(line) as Record<string, unknown>;
    return typeof value['event'] === 'string' ? value : null;
  } catch {
    return null;
  }
}
