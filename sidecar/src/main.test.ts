import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { programVersion } from './version.ts';

let folder: string;
const processes: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'remora-main-'));
});
afterEach(() => {
  for (const child of processes.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  readonly exit: Promise<number | null>;
  /** Resolves when standard output has the text. */
  readonly until: (text: string) => Promise<void>;
}

function run(...argv: string[]): Ran {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'main.ts'), ...argv, '--data-dir', folder], { env: { PATH: process.env['PATH'] ?? '' } });
  processes.push(child);
  let out = '';
  let err = '';
  const waiting: (() => void)[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    out += String(chunk);
    for (const check of waiting) check();
  });
  child.stderr.on('data', (chunk: Buffer) => { err += String(chunk); });
  const exit = new Promise<number | null>((resolve) => { child.on('close', resolve); });
  const until = async (text: string): Promise<void> => {
    const found = new Promise<void>((resolve) => {
      const check = (): void => { if (out.includes(text)) resolve(); };
      waiting.push(check);
      check();
    });
    await Promise.race([found, exit.then((code) => { throw new Error(`ended with ${code}: ${err}`); })]);
  };
  return { child, out: () => out, err: () => err, exit, until };
}

describe('the process', () => {
  test('with wrong settings says all of them and ends with 64', async () => {
    const { exit, err } = run('--workers', '0', '--srvice', 'x');
    expect(await exit).toBe(64);
    expect(err()).toContain('--srvice is not a setting; did you mean service?');
    expect(err()).toContain('--workers is "0"');
  });

  test('listens, says where on one line, answers 503 without a configuration, drains on SIGTERM, ends with 0', async () => {
    const { child, exit, out, err, until } = run('--service', 'orders', '--app', '127.0.0.1:9', '--inbound', '0', '--outbound', '0', '--admin-port', '0', '--control-plane', '127.0.0.1:9', '--drain-delay', '10ms', '--drain-timeout', '1s');
    await until('\n');
    const event = JSON.parse(out()) as Record<string, string>;
    expect(event).toMatchObject({ event: 'listening', subject: 'service/orders' });
    const answer = await fetch(`http://${event['inbound']}/`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ reason: 'no-configuration' });
    expect((await fetch(`http://${event['admin']}/ready`)).status).toBe(503);
    child.kill('SIGTERM');
    expect(await exit, err()).toBe(0);
  });

  test('ends with 75 where nothing to enforce came in time and that is not to be waited for', async () => {
    const { exit, err } = run('--gateway', 'edge', '--admin-port', '0', '--control-plane', '127.0.0.1:9', '--on-no-snapshot', 'refuse', '--start-timeout', '100ms');
    expect(await exit).toBe(75);
    expect(err()).toContain('nothing to enforce came in time');
  });

  test('names the port that is in use, and ends with 69', async () => {
    const first = run('--service', 'orders', '--no-outbound', '--admin-port', '0', '--control-plane', '127.0.0.1:9');
    await first.until('\n');
    const { admin } = JSON.parse(first.out()) as { admin: string };
    const second = run('--service', 'orders', '--no-outbound', '--admin-port', admin, '--control-plane', '127.0.0.1:9');
    expect(await second.exit).toBe(69);
    expect(second.err()).toContain(`admin port ${admin} is in use`);
  });
});

test('the version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../package.json'), 'utf8')) as { version: string };
  expect(programVersion).toBe(version);
});
