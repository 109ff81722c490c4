import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { DemoFailure } from './demo-failure.ts';

/** A process of the demo: what it printed, what it announced, and its end. */
export interface DemoProcess {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  /** The last lines of both its outputs, oldest first. */
  tail(lines: number): readonly string[];
  /** The first JSON line of the process that `accept` takes, printed already or to come. */
  event(label: string, accept: (event: ProcessEvent) => boolean, timeoutMs: number): Promise<ProcessEvent>;
  write(line: string): void;
  /** Sends the signal and waits until the process is gone. */
  stop(signal: 'SIGTERM' | 'SIGKILL', timeoutMs: number): Promise<void>;
}

/** One line of JSON with an `event`. */
export interface ProcessEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface ProcessPlan {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts processes and owns them: whatever happens, `stopAll` ends each by its pid. */
export interface Supervisor {
  start(plan: ProcessPlan): DemoProcess;
  readonly processes: readonly DemoProcess[];
  /** SIGTERM, then SIGKILL. */
  stopAll(): Promise<void>;
  /** SIGKILL at once, when this process must end. */
  killAll(): void;
}

/** Twelve processes that start at once share what was compiled. */
const compiled = path.resolve(import.meta.dirname, '../../node_modules/.cache/remora-compiled');
const tailLines = 400;
const eventsKept = 1_000;
const stopMs = 4_000;

export function createSupervisor(): Supervisor {
  const processes: StartedProcess[] = [];
  return {
    processes,
    start(plan) {
      const started = new StartedProcess(plan);
      processes.push(started);
      return started;
    },
    async stopAll() {
      await Promise.all(processes.map((one) => one.end()));
    },
    killAll() {
      for (const one of processes) one.kill();
    },
  };
}

class StartedProcess implements DemoProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #events: ProcessEvent[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #exited: Promise<void>;
  #running = true;

  constructor(plan: ProcessPlan) {
    this.name = plan.name;
    this.#child = spawn(process.execPath, [plan.file, ...plan.args], { env: { ...process.env, NODE_COMPILE_CACHE: compiled, ...plan.env }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#ended(`could not start: ${error.message}`, resolve));
      this.#child.once('close', (code, signal) => this.#ended(`ended with ${signal ?? `code ${code}`}`, resolve));
    });
    this.#child.stdin?.on('error', () => {}); // it may be gone already; its exit is what is looked at
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.#take(line));
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#running;
  }

  tail(lines: number): readonly string[] {
    return this.#lines.slice(-lines);
  }

  async event(label: string, accept: (event: ProcessEvent) => boolean, timeoutMs: number): Promise<ProcessEvent> {
    const found = await this.#until(() => this.#events.find(accept), timeoutMs);
    if (found !== undefined) return found;
    const state = this.#running ? `nothing within ${timeoutMs} ms` : `the process ended`;
    throw new DemoFailure(`${this.name}: ${label}`, state, [this]);
  }

  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL', timeoutMs: number): Promise<void> {
    if (this.#running) this.#child.kill(signal);
    const gone = await Promise.race([this.#exited.then(() => true), expire(timeoutMs)]);
    if (!gone) throw new DemoFailure(`${this.name} ends within ${timeoutMs} ms after ${signal}`, 'it still runs', [this]);
  }

  kill(): void {
    if (this.#running) this.#child.kill('SIGKILL');
  }

  /** SIGTERM, then SIGKILL: never throws. */
  async end(): Promise<void> {
    if (!this.#running) return;
    this.#child.kill('SIGTERM');
    if (await Promise.race([this.#exited.then(() => true), expire(stopMs)])) return;
    this.#child.kill('SIGKILL');
    await Promise.race([this.#exited, expire(stopMs)]);
  }

  async #until<Found>(look: () => Found | undefined, timeoutMs: number): Promise<Found | undefined> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const found = look();
      if (found !== undefined || !this.#running || Date.now() >= deadline) return found;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, deadline - Date.now());
        const listeners = this.#listeners;
        function wake(): void {
          clearTimeout(timer);
          listeners.delete(wake);
          resolve();
        }
        listeners.add(wake);
      });
    }
  }

  #take(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > tailLines) this.#lines.shift();
    const event = parseEvent(line);
    if (event === null) return;
    this.#events.push(event);
    if (this.#events.length > eventsKept) this.#events.shift();
    this.#wake();
  }

  #ended(how: string, resolve: () => void): void {
    this.#running = false;
    this.#lines.push(`[${how}]`);
    this.#wake();
    resolve();
  }

  #wake(): void {
    this.#listeners.forEach((listener) => listener());
  }
}

function parseEvent(line: string): ProcessEvent | null {
  if (!line.startsWith('{')) return null;
  try {
    const value = JSON.parse(line) as Partial<ProcessEvent>;
    return typeof value.event === 'string' ? (value as ProcessEvent) : null;
  } catch {
    return null;
  }
}

function expire(timeoutMs: number): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(resolve, timeoutMs, false).unref();
  });
}
