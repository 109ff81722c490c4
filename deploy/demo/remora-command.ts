import { spawn } from 'node:child_process';
import path from 'node:path';
import { runCli } from '@remora/cli/program';

/** How a command ended. */
export interface CommandResult {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  readonly tookMs: number;
}

export interface CommandPlan {
  readonly args: readonly string[];
  /** Address of the control plane, and the token of who types it, for the environment. */
  readonly server: string;
  readonly token: string;
  readonly timeoutMs: number;
  /** As a process of its own, as from a shell; otherwise the same code runs here, which saves its start. */
  readonly process: boolean;
}

const remora = path.resolve(import.meta.dirname, '../../libs/cli/bin/remora');

/** Runs `remora` with these arguments in the folder of the demo's documents. */
export function runRemora(plan: CommandPlan): Promise<CommandResult> {
  return plan.process ? runProcess(plan) : runHere(plan);
}

async function runHere(plan: CommandPlan): Promise<CommandResult> {
  const startedAt = performance.now();
  let out = '';
  let err = '';
  const exitCode = await runCli(plan.args, {
    out: (text) => { out += text; },
    err: (text) => { err += text; },
    outIsTerminal: false,
    errIsTerminal: false,
    columns: 100,
    env: { ...environment(plan) },
    cwd: import.meta.dirname,
    readStdin: () => Promise.resolve(new Uint8Array()),
    signal: AbortSignal.timeout(plan.timeoutMs),
    now: () => Date.now(),
  });
  return { exitCode, out, err, tookMs: performance.now() - startedAt };
}

function runProcess(plan: CommandPlan): Promise<CommandResult> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [remora, ...plan.args], { cwd: import.meta.dirname, env: { ...process.env, ...environment(plan) }, stdio: ['ignore', 'pipe', 'pipe'], timeout: plan.timeoutMs, killSignal: 'SIGKILL' });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => { out += text; });
    child.stderr.setEncoding('utf8').on('data', (text: string) => { err += text; });
    child.once('error', reject);
    child.once('close', (code) => resolve({ exitCode: code ?? -1, out, err, tookMs: performance.now() - startedAt }));
  });
}

function environment(plan: CommandPlan): Record<string, string> {
  return { REMORA_SERVER: plan.server, REMORA_TOKEN: plan.token };
}
