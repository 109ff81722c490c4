import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';

const ticksPerSecond = 100;
const children = new Set<ChildProcess>();

/** Starts a program, pinned to one core, or a list such as `0,1`, where one is named; it ends with this process at the latest. Its log goes where this one's does, or to `onLog`. */
export function startPinned(core: number | string | null, command: readonly string[], options: { readonly env?: Record<string, string>; readonly onLine?: (line: string) => void; readonly onLog?: (text: string) => void; readonly channel?: boolean } = {}): ChildProcess {
  const pinned = core !== null && existsSync('/usr/bin/taskset') ? ['/usr/bin/taskset', '-c', String(core), ...command] : command;
  const child = spawn(pinned[0] ?? '', pinned.slice(1), { stdio: ['ignore', 'pipe', options.onLog === undefined ? 'inherit' : 'pipe', ...(options.channel === true ? ['ipc' as const] : [])], env: { ...process.env, ...options.env } });
  children.add(child);
  child.once('exit', () => children.delete(child));
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) options.onLine?.(line);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => options.onLog?.(text));
  return child;
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/**
 * User and system time of a process, its threads and its direct children, in milliseconds: in nanoseconds where the kernel tells how long each thread ran,
 * else in units of 10 ms. Threads that have ended do not count where it does.
 */
export function cpuMs(pid: number): number {
  const own = ranFor(pid) ?? statOf(pid);
  return own === null ? 0 : own + childrenOf(pid).reduce((sum, child) => sum + cpuMs(child), 0);
}

export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const own = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  return own + childrenOf(pid).reduce((sum, child) => sum + residentMiB(child), 0);
}

const kernelCounts = existsSync('/proc/self/schedstat');

function ranFor(pid: number): number | null {
  if (!kernelCounts || !existsSync(`/proc/${pid}/task`)) return null;
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const file = `/proc/${pid}/task/${thread}/schedstat`;
    // A thread may end meanwhile.
    if (existsSync(file)) ns += Number(readFileSync(file, 'utf8').split(' ', 1)[0]);
  }
  return ns / 1e6;
}

function statOf(pid: number): number | null {
  if (!existsSync(`/proc/${pid}/stat`)) return null;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number) : [];
}

/** Resolves when the port accepts; rejects after the deadline. */
export async function untilListening(port: number, deadlineMs = 30_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => { socket.destroy(); resolve(true); });
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    if (performance.now() > end) throw new Error(`nothing listens on port ${port}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}
