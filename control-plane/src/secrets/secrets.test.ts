import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ManualTimers } from '@remora/testing/manual-timers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSealer } from '../identity/sealer.ts';
import { createRotatingSealer } from '../identity/rotating-sealer.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { SecretBook } from './secret-book.ts';
import { SecretRefresher } from './secret-refresher.ts';
import { createSecretSources } from './secret-sources.ts';
import { createVaultClient } from './vault-client.ts';
import type { VaultClient } from './vault-client.ts';

const planted = 'planted-secret-3f9a';
const signal = new AbortController().signal;

describe('kept values', () => {
  const timers = new ManualTimers();
  const [one, two, three] = [1, 2, 3].map((byte) => createSealer(Buffer.from([byte, ...Array.from({ length: 31 }, (_, i) => i)])));
  if (!one || !two || !three) throw new Error('three keys');

  test('are encrypted with a key of their own, and open for their name and version only', () => {
    const store = createMemoryStore({ clock: timers.clock });
    const book = new SecretBook({ store, sealer: one, clock: timers.clock });
    book.set({ name: 'a', source: { kind: 'literal' }, value: Buffer.from(planted), author: 'ana' });
    const [record] = store.records('secrets').values();
    const text = JSON.stringify(record);
    for (const form of [planted, Buffer.from(planted).toString('base64'), Buffer.from(planted).toString('hex')]) expect(text).not.toContain(form);
    expect(Buffer.from(new SecretBook({ store, sealer: one, clock: timers.clock }).valueFor('a') ?? []).toString()).toBe(planted);
    expect(() => new SecretBook({ store, sealer: two, clock: timers.clock }).valueFor('a')).toThrow('another encryption key');
    if (record) store.putRecords('secrets', new Map([['b', record]]));
    expect(() => new SecretBook({ store, sealer: one, clock: timers.clock }).valueFor('b')).toThrow('changed or is damaged');
  });

  test('survive a change of the encryption key', () => {
    const store = createMemoryStore({ clock: timers.clock });
    new SecretBook({ store, sealer: one, clock: timers.clock }).set({ name: 'a', source: { kind: 'literal' }, value: Buffer.from(planted), author: '' });
    const both = new SecretBook({ store, sealer: createRotatingSealer(two, [three, one]), clock: timers.clock });
    expect(both.reseal()).toBe(1);
    expect(Buffer.from(new SecretBook({ store, sealer: two, clock: timers.clock }).valueFor('a') ?? []).toString()).toBe(planted);
    expect(() => new SecretBook({ store, sealer: one, clock: timers.clock }).valueFor('a')).toThrow('another encryption key');
  });

  test.each([
    ['no name', '../a', 'x'],
    ['no value', 'a', ''],
    ['too much', 'a', 'x'.repeat(200_000)],
  ])('%s is refused', (_what, name, value) => {
    const book = new SecretBook({ store: createMemoryStore({ clock: timers.clock }), sealer: one, clock: timers.clock });
    expect(() => book.set({ name, source: { kind: 'literal' }, value: Buffer.from(value), author: '' })).toThrow(/name|empty|at most/);
    expect(book.list()).toEqual([]);
  });
});

describe('sources', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'remora-secrets-'));
    return () => rmSync(folder, { recursive: true, force: true });
  });

  test('files of one folder, and nothing that leads out of it', async () => {
    writeFileSync(path.join(folder, 'cert.pem'), planted);
    writeFileSync(path.join(folder, 'large'), Buffer.alloc(200_000));
    symlinkSync('/etc/passwd', path.join(folder, 'link'));
    const sources = createSecretSources({ folder, environment: {}, vault: null });
    expect(Buffer.from(await sources.read({ kind: 'file', file: 'cert.pem' }, signal)).toString()).toBe(planted);
    for (const file of ['../etc/passwd', '/etc/passwd', '.hidden', 'link', 'large', 'none', '.']) await expect(sources.read({ kind: 'file', file }, signal)).rejects.toMatchObject({ code: 'source-failed' });
    await expect(createSecretSources({ folder: '', environment: {}, vault: null }).read({ kind: 'file', file: 'cert.pem' }, signal)).rejects.toThrow('--secrets-dir');
  });

  test('variables with the prefix only', async () => {
    const sources = createSecretSources({ folder: '', environment: { REMORA_SECRET_X: planted, HOME: '/root', REMORA_SECRET_E: '' }, vault: null });
    expect(Buffer.from(await sources.read({ kind: 'environment', variable: 'REMORA_SECRET_X' }, signal)).toString()).toBe(planted);
    for (const variable of ['HOME', 'REMORA_SECRET_E', 'REMORA_SECRET_NONE', '__proto__']) await expect(sources.read({ kind: 'environment', variable }, signal)).rejects.toMatchObject({ code: 'source-failed' });
    await expect(sources.read({ kind: 'vault', mount: 'm', path: 'p', field: 'f' }, signal)).rejects.toThrow('--vault-address');
  });

  test('are read again at intervals; what does not answer keeps its last good value, and says why', async () => {
    const timers = new ManualTimers();
    const environment: Record<string, string> = { REMORA_SECRET_X: 'first' };
    const book = new SecretBook({ store: createMemoryStore({ clock: timers.clock }), sealer: createSealer(null), clock: timers.clock });
    const changed: string[] = [];
    book.onChange((name) => changed.push(name));
    const refresher = new SecretRefresher({ book, sources: createSecretSources({ folder: '', environment, vault: null }), timers, everyMs: 1_000, alarm: (error) => expect(error).toBeNull() });
    const { version } = await refresher.set('x', { kind: 'environment', variable: 'REMORA_SECRET_X' }, 'ana');
    refresher.start();
    await refresher.refresh();
    expect(book.find('x')).toMatchObject({ version, problem: '' });
    environment['REMORA_SECRET_X'] = 'second';
    await refresher.refresh();
    expect(Buffer.from(book.valueFor('x') ?? []).toString()).toBe('second');
    delete environment['REMORA_SECRET_X'];
    await refresher.refresh();
    expect(Buffer.from(book.valueFor('x') ?? []).toString()).toBe('second');
    expect(book.find('x')?.problem).toContain('no REMORA_SECRET_X');
    expect(book.problems).toBe(1);
    expect(changed).toEqual(['x', 'x']);
    await refresher.close();
  });
});

describe('HashiCorp Vault', () => {
  let handler: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method ?? ''} ${request.url ?? ''} ${String(request.headers['x-vault-token'])} ${String(request.headers['x-vault-namespace'] ?? '')}`.trim());
    handler(request, response);
  });
  let client: VaultClient;
  const timers = new ManualTimers();
  beforeEach(async () => {
    seen.length = 0;
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    client = createVaultClient({ address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, token: () => planted, namespace: 'team', authority: '', clock: timers.clock, limits: { deadlineMs: 500, answerBytes: 4_096 } });
  });
  afterEach(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });

  const source = { kind: 'vault', mount: 'secret', path: 'edge/tls', field: 'pem' } as const;
  const json = (response: ServerResponse, status: number, body: unknown): void => void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const lookup = { data: { ttl: 3_600, creation_ttl: 3_600, renewable: true, policies: ['default'] } };
  /** As version 1.15 answers. */
  const recorded = { request_id: '2b6f', lease_id: '', renewable: false, lease_duration: 0, data: { data: { pem: 'the value', other: 5 }, metadata: { created_time: '2026-11-22T10:00:00Z', deletion_time: '', destroyed: false, version: 3 } }, wrap_info: null, warnings: null, auth: null };

  test('answers the newest version of a field', async () => {
    handler = (request, response) => json(response, 200, request.url?.includes('lookup-self') ? lookup : recorded);
    expect(Buffer.from(await client.read(source, signal)).toString()).toBe('the value');
    expect(seen).toEqual([`GET /v1/auth/token/lookup-self ${planted} team`, `GET /v1/secret/data/edge/tls ${planted} team`]);
  });

  test('a token is renewed before half of its life is over', async () => {
    handler = (request, response) => json(response, 200, request.url?.includes('lookup-self') ? { data: { ...lookup.data, ttl: 1_700 } } : recorded);
    await client.read(source, signal);
    expect(seen.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(['GET /v1/auth/token/lookup-self', 'POST /v1/auth/token/renew-self', 'GET /v1/secret/data/edge/tls']);
    await client.read(source, signal);
    expect(seen).toHaveLength(4);
  });

  test.each<[string, (response: ServerResponse) => void, RegExp]>([
    ['nothing there', (response) => json(response, 404, { errors: [] }), /nothing at secret\/edge\/tls/],
    ['a deleted version', (response) => json(response, 404, { data: { data: null, metadata: { deletion_time: 'x' } } }), /deleted/],
    ['no permission', (response) => json(response, 403, { errors: ['permission denied'] }), /may not read/],
    ['sealed', (response) => json(response, 503, { errors: ['Vault is sealed'] }), /answered 503/],
    ['no such field', (response) => json(response, 200, { data: { data: { other: 'x' } } }), /no text in its field pem/],
    ['a field that is no text', (response) => json(response, 200, { data: { data: { pem: { a: 1 } } } }), /no text/],
    ['no JSON', (response) => void response.end('<html>'), /no JSON/],
    ['a redirect', (response) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(), /redirect/],
    ['too much', (response) => void response.end(`{"data": "${'x'.repeat(10_000)}"}`), /too much/],
    ['silence', () => {}, /not answer in time/],
    ['a connection that breaks', (response) => response.destroy(), /cannot be reached/],
  ])('%s', async (_what, answer, message) => {
    handler = (request, response) => (request.url?.includes('lookup-self') ? json(response, 200, lookup) : answer(response));
    const failure: unknown = await client.read(source, signal).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'source-failed', message: expect.stringMatching(message) });
    expect((failure as Error).message).not.toContain(planted);
    expect((failure as Error).message).not.toContain('Vault is sealed');
  });
});
