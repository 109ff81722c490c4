import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { freePort } from '@remora/testing/free-port';
import { programPath } from '@remora/testing/requirement';
import { startPinned, untilListening } from './child.ts';

function fill(file: string, values: Readonly<Record<string, string | number>>, target: string): void {
  let text = readFileSync(path.join(import.meta.dirname, 'peers', file), 'utf8');
  for (const [key, value] of Object.entries(values)) text = text.replaceAll(`"@${key}@"`, String(value)).replaceAll(`@${key}@`, String(value));
  writeFileSync(target, text);
}

/** The upstream of all proxies: nginx answering a small JSON, on the core of the load generator. */
export async function startBackend(folder: string, core: number, template = 'nginx-backend.conf'): Promise<{ readonly port: number; readonly process: ChildProcess }> {
  const port = await freePort();
  const config = path.join(folder, 'backend.conf');
  fill(template, { FOLDER: folder, PORT: port }, config);
  const child = startPinned(core, [required('nginx'), '-c', config, '-e', path.join(folder, 'backend.start')]);
  await untilListening(port);
  return { port, process: child };
}

export async function startNginx(folder: string, core: number, backend: number, template = 'nginx-proxy.conf', values: Readonly<Record<string, string | number>> = {}): Promise<{ readonly port: number; readonly process: ChildProcess }> {
  const port = await freePort();
  const config = path.join(folder, 'proxy.conf');
  fill(template, { FOLDER: folder, PORT: port, BACKEND: backend, ...values }, config);
  const child = startPinned(core, [required('nginx'), '-c', config, '-e', path.join(folder, 'proxy.start')]);
  await untilListening(port);
  return { port, process: child };
}

export async function startEnvoy(folder: string, core: number, backend: number, template = 'envoy-minimal.json', values: Readonly<Record<string, string | number>> = {}): Promise<{ readonly port: number; readonly process: ChildProcess } | null> {
  const command = programPath('envoy');
  if (command === null) return null;
  const port = await freePort();
  const config = path.join(folder, 'envoy.json');
  fill(template, { FOLDER: folder, PORT: port, BACKEND: backend, ...values }, config);
  const child = startPinned(core, [command, '-c', config, '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart']);
  await untilListening(port, 30_000);
  return { port, process: child };
}

export async function startHaproxy(folder: string, core: number, backend: number): Promise<{ readonly port: number; readonly process: ChildProcess } | null> {
  const command = programPath('haproxy');
  if (command === null) return null;
  const port = await freePort();
  const config = path.join(folder, 'haproxy.cfg');
  fill('haproxy.cfg', { PORT: port, BACKEND: backend }, config);
  const child = startPinned(core, [command, '-db', '-f', config]);
  await untilListening(port);
  return { port, process: child };
}

export async function startFastify(core: number, backend: number): Promise<{ readonly port: number; readonly process: ChildProcess }> {
  const port = await freePort();
  const child = startPinned(core, [process.execPath, path.join(import.meta.dirname, 'peers/fastify-proxy.ts'), String(port), String(backend)]);
  await untilListening(port);
  return { port, process: child };
}

function required(program: 'nginx'): string {
  const command = programPath(program);
  if (command === null) throw new Error(`${program} is not installed: apt-get install ${program}`);
  return command;
}
