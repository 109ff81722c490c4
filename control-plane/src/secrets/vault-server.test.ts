import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { systemClock } from '@remora/core/clock';
import { describeWith } from '@remora/testing/requirement';
import { afterEach, expect, test, vi } from 'vitest';
import { createVaultClient } from './vault-client.ts';
import type { VaultClient } from './vault-client.ts';

/** A Vault with its own core, storage in memory and a key-value store of version 2 at `secret/`. */
class Vault {
  readonly address: string;
  readonly #root: string;
  readonly #end: () => Promise<void>;

  static async start(command: string): Promise<Vault> {
    const child = spawn(command, { stdio: ['ignore', 'pipe', 'ignore'] });
    const [line] = await once(createInterface(child.stdout), 'line') as [string];
    const { address, rootToken } = JSON.parse(line) as { readonly address: string; readonly rootToken: string };
    const vault = new Vault(address, rootToken, async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    });
    await vault.call('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } });
    await vault.call('PUT', 'sys/policies/acl/reader', { policy: 'path "secret/data/edge/*" { capabilities = ["read"] }' });
    // A store of version 2 prepares itself for a moment after it was mounted.
    await vi.waitFor(() => vault.put('edge/ready', { is: 'yes' }), { timeout: 30_000, interval: 20 });
    return vault;
  }

  private constructor(address: string, root: string, end: () => Promise<void>) {
    this.address = address;
    this.#root = root;
    this.#end = end;
  }

  async call(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`${this.address}/v1/${path}`, { method, headers: { 'x-vault-token': this.#root }, ...(body && { body: JSON.stringify(body) }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  async put(path: string, data: object): Promise<void> {
    await this.call('POST', `secret/data/${path}`, { data });
  }

  /** A token that may read below `edge/`. */
  async token(ttl: string): Promise<string> {
    const { auth } = await this.call('POST', 'auth/token/create', { ttl, policies: ['reader'] }) as { readonly auth: { readonly client_token: string } };
    return auth.client_token;
  }

  async secondsLeft(token: string): Promise<number> {
    const { data } = await this.call('POST', 'auth/token/lookup', { token }) as { readonly data: { readonly ttl: number } };
    return data.ttl;
  }

  stop(): Promise<void> {
    return this.#end();
  }
}

describeWith('vault-in-memory', 'a Vault server', (command) => {
  const ends: (() => Promise<void>)[] = [];
  const { signal } = new AbortController();
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  async function vaultAndClient(ttl = '1h'): Promise<{ readonly vault: Vault; readonly client: VaultClient; readonly token: string }> {
    const vault = await Vault.start(command);
    ends.push(() => vault.stop());
    const token = await vault.token(ttl);
    const client = createVaultClient({ address: vault.address, token: () => token, namespace: '', authority: '', clock: systemClock, limits: { renewEveryMs: 0 } });
    ends.push(() => client.close());
    return { vault, client, token };
  }

  const tls = { kind: 'vault', mount: 'secret', path: 'edge/tls', field: 'pem' } as const;

  test('the newest version is read; what is missing, deleted, forbidden or no text is said to be so, without a word of it', async () => {
    const { vault, client } = await vaultAndClient();
    await vault.put('edge/tls', { pem: 'first' });
    expect(Buffer.from(await client.read(tls, signal)).toString()).toBe('first');
    await vault.put('edge/tls', { pem: 'second', others: { planted: true } });
    expect(Buffer.from(await client.read(tls, signal)).toString()).toBe('second');
    await vault.put('payments/key', { pem: 'planted' });
    const failures: readonly [object, RegExp][] = [
      [{ field: 'others' }, /has no text in its field others/],
      [{ field: 'none' }, /has no text in its field none/],
      [{ path: 'edge/none' }, /nothing at secret\/edge\/none/],
      [{ path: 'payments/key' }, /the token may not read it/],
      [{ mount: 'other' }, /the token may not read it/],
    ];
    for (const [changed, message] of failures) {
      const failure: unknown = await client.read({ ...tls, ...changed }, signal).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'source-failed', message: expect.stringMatching(message) });
      expect((failure as Error).message).not.toContain('planted');
    }
    await vault.call('DELETE', 'secret/data/edge/tls');
    await expect(client.read(tls, signal)).rejects.toThrow('its newest version is deleted');
  });

  test('a token lives longer than it was made for, because it is renewed', async () => {
    const { vault, client, token } = await vaultAndClient('6s');
    await vault.put('edge/tls', { pem: 'value' });
    await vi.waitFor(async () => expect(await vault.secondsLeft(token)).toBeLessThanOrEqual(3), { timeout: 30_000, interval: 50 });
    await client.read(tls, signal);
    expect(await vault.secondsLeft(token)).toBeGreaterThan(3);
  });

  test('a Vault that is sealed, and a token that was revoked, are failures of the source', async () => {
    const { vault, client, token } = await vaultAndClient();
    await vault.put('edge/tls', { pem: 'value' });
    await vault.call('POST', 'auth/token/revoke', { token });
    await expect(client.read(tls, signal)).rejects.toThrow('the token may not read it');
    await vault.call('PUT', 'sys/seal');
    await expect(client.read(tls, signal)).rejects.toThrow('answered 503');
  });
});
