import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { productVersion } from './product-version.ts';

const main = join(import.meta.dirname, 'main.ts');
const service = 'kind: Service\nname: orders\nports: {http: {port: 8080, protocol: http}}\n';

describe('the process', () => {
  let folder: string;
  const children: ChildProcessWithoutNullStreams[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'remora-main-'));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true });
  });

  function run(...args: string[]): ChildProcessWithoutNullStreams {
    const child = spawn(process.execPath, [main, ...args], { env: { PATH: process.env['PATH'] ?? '', HOME: folder } });
    children.push(child);
    return child;
  }

  /** Runs to the end. */
  async function finish(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
    const child = run(...args);
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, out, err };
  }

  async function serve(data = 'data'): Promise<{ child: ChildProcessWithoutNullStreams; api: string }> {
    const child = run('--data-dir', join(folder, data), '--api-auth', 'off', '--api-port', '0', '--push-port', '0');
    for await (const line of createInterface({ input: child.stdout })) {
      const facts = JSON.parse(line) as { event: string; api: string; push: string };
      expect(facts).toEqual({ event: 'listening', api: expect.stringMatching(/^127\.0\.0\.1:\d+$/), push: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
      return { child, api: `http://${facts.api}` };
    }
    throw new Error('it did not listen');
  }

  const apply = (api: string): Promise<Response> => fetch(`${api}/v1/apply`, { method: 'POST', body: service, headers: { 'content-type': 'application/yaml' } });

  test('serves, stops when told, and has everything after the next start; a backup restores elsewhere', async () => {
    const first = await serve();
    expect((await apply(first.api)).status).toBe(200);
    expect(await (await fetch(`${first.api}/metrics`)).text()).toMatch(/^remora_cp_head_index 1$/m);
    const backup = join(folder, 'backup.db');
    expect(await finish('backup', '--data-dir', join(folder, 'data'), '--to', backup)).toMatchObject({ code: 0, out: expect.stringContaining('"event":"backup-made"') });
    expect(await finish('backup', '--data-dir', join(folder, 'data'), '--to', backup)).toMatchObject({ code: 78, err: expect.stringContaining('[store-exists]') });
    first.child.kill('SIGTERM');
    expect(await once(first.child, 'exit')).toEqual([0, null]);

    const again = await serve();
    expect((await fetch(`${again.api}/v1/services/orders`)).status).toBe(200);
    again.child.kill('SIGINT');
    expect(await once(again.child, 'exit')).toEqual([0, null]);

    expect(await finish('restore', '--data-dir', join(folder, 'restored'), '--from', backup)).toMatchObject({ code: 0, out: expect.stringContaining('"event":"restored"') });
    const restored = await serve('restored');
    expect(await (await fetch(`${restored.api}/v1/revisions`)).json()).toMatchObject({ items: [{ revision: 2, kind: 'restored', of: 1 }, { revision: 1 }] });
  }, 60_000);

  test('the first start prints a token that makes the others, once; who lost them gets another one from the disk', async () => {
    const start = async (): Promise<{ child: ChildProcessWithoutNullStreams; api: string; tokens: string[] }> => {
      const child = run('--data-dir', join(folder, 'data'), '--api-port', '0', '--push-port', '0');
      const tokens: string[] = [];
      let api = '';
      let err = '';
      child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
      for await (const line of createInterface({ input: child.stdout })) {
        const facts = JSON.parse(line) as { event: string; api: string; token: string };
        if (facts.event === 'first-token') tokens.push(facts.token);
        if (facts.event !== 'listening') continue;
        api = `http://${facts.api}`;
        break;
      }
      expect(err).not.toContain('rma1.');
      return { child, api, tokens };
    };
    const stop = async (child: ChildProcessWithoutNullStreams): Promise<void> => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    };
    const make = (api: string, token: string, role: string): Promise<Response> =>
      fetch(`${api}/v1/api-tokens`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ name: 'ana', role }) });

    const first = await start();
    const [token = ''] = first.tokens;
    expect(token).toMatch(/^rma1\./);
    expect((await fetch(`${first.api}/v1/services`)).status).toBe(401);
    expect((await fetch(`${first.api}/v1/services`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(403);
    await stop(first.child);

    const again = await start();
    expect(again.tokens).toEqual([]);
    expect((await make(again.api, token, 'viewer')).status).toBe(201);
    expect((await make(again.api, token, 'admin')).status).toBe(201);
    expect((await make(again.api, token, 'admin')).status).toBe(401);
    expect(await finish('first-token', '--data-dir', join(folder, 'data'))).toMatchObject({ code: 75 });
    await stop(again.child);

    const { code, out } = await finish('first-token', '--data-dir', join(folder, 'data'));
    expect(code).toBe(0);
    const another = (JSON.parse(out) as { token: string }).token;
    const last = await start();
    expect((await make(last.api, token, 'admin')).status).toBe(401);
    expect((await make(last.api, another, 'admin')).status).toBe(201);
  }, 60_000);

  test('the first token goes into a file of its owner, and never into one that is there', async () => {
    const file = join(folder, 'first');
    const child = run('--store', 'memory', '--api-port', '0', '--push-port', '0', '--first-token-file', file);
    for await (const line of createInterface({ input: child.stdout })) {
      expect(line).not.toContain('rma1.');
      break;
    }
    expect(readFileSync(file, 'utf8')).toMatch(/^rma1\.[^\n]+\n$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const ended = await finish('--store', 'memory', '--api-port', '0', '--push-port', '0', '--first-token-file', file);
    expect(ended).toMatchObject({ code: 2, err: expect.stringContaining('--first-token-file') });
    expect(ended.err + ended.out).not.toContain('rma1.');
  }, 60_000);

  test('a second one on the same store ends at once and says why', async () => {
    await serve();
    expect(await finish('--data-dir', join(folder, 'data'), '--api-port', '0', '--push-port', '0')).toMatchObject({ code: 75, err: expect.stringContaining('in use by another control plane') });
  }, 30_000);

  test.each(['api', 'push'])('the %s port in use: named, and worth another try', async (which) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const ended = await finish('--store', 'memory', '--api-port', which === 'api' ? String(port) : '0', '--push-port', which === 'push' ? String(port) : '0');
    taken.close();
    expect(ended).toMatchObject({ code: 75, err: expect.stringContaining(String(port)) });
    expect(ended.err).not.toContain(' at ');
  }, 30_000);

  test('a damaged store is named, left as it is, and not worth another try', async () => {
    const file = join(folder, 'control-plane.db');
    writeFileSync(file, 'SQLite format 3\0 and then nothing');
    expect(await finish('--data-dir', folder, '--api-port', '0', '--push-port', '0')).toMatchObject({ code: 78, err: expect.stringMatching(/control-plane\.db: .*\[store-(corrupt|not-ours)\]/) });
    expect(readFileSync(file, 'utf8')).toContain('and then nothing');
  }, 30_000);

  test('wrong settings, help, and an address that is not ours', async () => {
    const wrong = await finish('--api-prot', '1', '--push-port', 'x');
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('did you mean --api-port') });
    expect(wrong.err).toContain('--push-port');
    expect(await finish('--help')).toMatchObject({ code: 0, out: expect.stringContaining('--retention-age') });
    expect(await finish('--store', 'memory', '--api-host', '0.0.0.0')).toMatchObject({ code: 2, err: expect.stringContaining('refusing to listen on 0.0.0.0') });
    expect(await finish('backup', '--from', 'x')).toMatchObject({ code: 2 });
  }, 60_000);
});

test('the version is that of the package', () => {
  expect(JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'))).toMatchObject({ version: productVersion });
});
