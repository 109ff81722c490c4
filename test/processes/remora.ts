import path from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { startPinned } from './child.ts';

const root = path.resolve(import.meta.dirname, '../..');

export interface RunningControlPlane {
  readonly process: ChildProcess;
  readonly api: string;
  readonly push: string;
  /** '' without identity. */
  readonly enrolment: string;
  readonly folder: string;
  /** Applies YAML documents; answers the parsed body. Throws on a refusal, with its text. */
  apply(yaml: string, query?: string): Promise<Record<string, unknown>>;
}

export interface RunningSidecar {
  readonly process: ChildProcess;
  readonly ports: Readonly<Record<string, number>>;
  readonly folder: string;
  /** Monotonic ms from spawn to the line that says it listens. */
  readonly listeningAfterMs: number;
}

/** Runs the sources, or the bundles in `dist/` where `bundled` says so. */
function program(name: 'control-plane' | 'sidecar', bundled: boolean, nodeFlags: readonly string[] = []): string[] {
  return [process.execPath, ...nodeFlags, bundled ? path.join(root, `dist/remora-${name}.mjs`) : path.join(root, name, 'src/main.ts')];
}

async function untilEvent(start: (onLine: (line: string) => void) => ChildProcess, event: string): Promise<{ readonly child: ChildProcess; readonly line: Record<string, unknown> }> {
  let settle: (line: Record<string, unknown>) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const seen = new Promise<Record<string, unknown>>((resolve, reject) => { settle = resolve; fail = reject; });
  const child = start((text) => {
    if (!text.startsWith('{')) return;
    const line = JSON.parse(text) as Record<string, unknown>;
    if (line['event'] === event) settle(line);
  });
  child.once('exit', (code) => fail(new Error(`ended with ${code} before it said "${event}"`)));
  const timer = setTimeout(() => fail(new Error(`did not say "${event}" in 60 s`)), 60_000);
  try {
    return { child, line: await seen };
  } finally {
    clearTimeout(timer);
  }
}

export interface ControlPlaneOptions {
  /** Opens a channel for messages, for what `--import` has loaded. */
  readonly channel?: boolean;
  readonly core?: number;
  readonly flags?: readonly string[];
  readonly bundled?: boolean;
  /** Of an earlier run, to start again on its data and ports. */
  readonly folder?: string;
  readonly apiPort?: number;
  readonly pushPort?: number;
  /** Flags for Node itself. */
  readonly nodeFlags?: readonly string[];
  readonly env?: Record<string, string>;
  /** Takes the process's log, which otherwise goes to this one's standard error. */
  readonly onLog?: (text: string) => void;
}

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<RunningControlPlane> {
  const folder = options.folder ?? scratchFolder('run');
  const ports = ['--api-port', String(options.apiPort ?? 0), '--push-port', String(options.pushPort ?? 0)];
  // Tests and benchmarks of other things: on loopback, open. Those of the door itself say so.
  const door = options.flags?.includes('--api-auth') ? [] : ['--api-auth', 'off'];
  const command = [...program('control-plane', options.bundled ?? false, options.nodeFlags), '--data-dir', folder, ...ports, ...door, ...(options.flags ?? [])];
  const { child, line } = await untilEvent((onLine) => startPinned(options.core ?? null, command, { onLine, channel: options.channel ?? false, env: options.env ?? {}, ...(options.onLog && { onLog: options.onLog }) }), 'listening');
  const api = addressOf(line['api']);
  return {
    process: child, api: `http://${api}`, push: addressOf(line['push']), enrolment: addressOf(line['enrolment'] ?? ''), folder,
    async apply(yaml, query = '') {
      const response = await fetch(`http://${api}/v1/apply${query}`, { method: 'POST', headers: { 'content-type': 'application/yaml' }, body: yaml });
      const text = await response.text();
      if (!response.ok) throw new Error(`apply answered ${response.status}: ${text.slice(0, 2000)}`);
      return JSON.parse(text) as Record<string, unknown>;
    },
  };
}

/** As the unit file and the image have it. */
const sidecarEnvironment = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '32768' };

export interface SidecarOptions {
  /** One core, or a list such as `0,1`. */
  readonly core?: number | string;
  readonly bundled?: boolean;
  readonly folder?: string;
  readonly adminPort?: number;
  /** Flags for Node itself. */
  readonly nodeFlags?: readonly string[];
  /** Runs the command through another one, such as one that sets limits. */
  readonly wrap?: (command: readonly string[]) => readonly string[];
  /** Takes the process's log, which otherwise goes to this one's standard error. */
  readonly onLog?: (text: string) => void;
}

export async function startSidecar(flags: readonly string[], options: SidecarOptions = {}): Promise<RunningSidecar> {
  const folder = options.folder ?? scratchFolder('run');
  const plain = [...program('sidecar', options.bundled ?? false, options.nodeFlags), '--data-dir', folder, '--admin-port', String(options.adminPort ?? 0), ...flags];
  const command = options.wrap?.(plain) ?? plain;
  const started = performance.now();
  const { child, line } = await untilEvent((onLine) => startPinned(options.core ?? null, command, { onLine, env: sidecarEnvironment, ...(options.onLog && { onLog: options.onLog }) }), 'listening');
  const ports: Record<string, number> = {};
  for (const [name, value] of Object.entries(line)) {
    const port = typeof value === 'number' ? value : Number(/:(\d+)$/.exec(String(value))?.[1]);
    if (Number.isInteger(port)) ports[name] = port;
  }
  return { process: child, ports, folder, listeningAfterMs: performance.now() - started };
}

function addressOf(value: unknown): string {
  if (typeof value === 'number') return `127.0.0.1:${value}`;
  return String(value).replace(/^https?:\/\//, '');
}
