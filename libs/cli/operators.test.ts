import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startControlPlane } from '@remora/control-plane/running-control-plane';
import type { RunningControlPlane } from '@remora/control-plane/running-control-plane';
import { readSettings } from '@remora/control-plane/settings/read-settings';
import { startIssuer } from '@remora/control-plane/operators/oidc/testdata/issuer-server';
import type { IssuerServer } from '@remora/control-plane/operators/oidc/testdata/issuer-server';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exitCodes } from './exit-codes.ts';
import { runCli } from './program.ts';

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Everything as a user has it: a control plane that serves over TLS, and commands that find their way with files, pins, variables and logins. */
describe('operators, end to end', () => {
  let folder: string;
  let running: RunningControlPlane | null = null;
  let issuer: IssuerServer | null = null;
  const logged: string[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'remora-operators-'));
    logged.length = 0;
  });
  afterEach(async () => {
    await running?.stop();
    running = null;
    await issuer?.close();
    issuer = null;
    rmSync(folder, { recursive: true });
  });

  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };

  async function start(...args: string[]): Promise<RunningControlPlane> {
    const read = readSettings(['--data-dir', join(folder, 'data'), '--api-port', '0', '--push-port', '0', '--log-level', 'debug', ...args], {}, () => '');
    if (!read.ok) throw new Error(JSON.stringify(read.problems));
    running = await startControlPlane(read.settings, { log: (line) => void logged.push(line) });
    return running;
  }

  /** A command of somebody with a home, and what else is in their environment. */
  async function remora(args: readonly string[], { env = {}, stdin = '', home = 'home' }: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string; readonly home?: string } = {}): Promise<Ran> {
    let [out, err] = ['', ''];
    const code = await runCli(args, {
      out: (text) => { out += text; }, err: (text) => { err += text; },
      outIsTerminal: false, errIsTerminal: false, columns: 100, cwd: folder,
      env: { HOME: join(folder, home), ...env },
      readStdin: () => Promise.resolve(Buffer.from(stdin)),
      signal: new AbortController().signal,
      now: () => Date.now(),
    });
    return { code, out, err };
  }

  /** TLS from files, with an authority that nobody else knows. */
  async function startWithTls(...args: string[]): Promise<{ readonly server: string; readonly caFile: string; readonly firstToken: string }> {
    const authority = new TestAuthority();
    const { cert, key } = authority.issue({ dns: ['localhost'], addresses: ['127.0.0.1'] });
    const caFile = file('ca.pem', authority.cert);
    const { api, firstToken } = await start('--api-cert-file', file('api.pem', cert), '--api-key-file', file('api.key', key), ...args);
    return { server: `https://${api}`, caFile, firstToken };
  }

  const service = 'kind: Service\nname: orders\nports: {http: {port: 8080, protocol: http}}\n';

  test('from the first token to a scoped one, over TLS; the history and the audit log say who it was', async () => {
    const { server, caFile, firstToken } = await startWithTls();
    const at = { REMORA_SERVER: server, REMORA_CA_FILE: caFile };
    file('orders.yaml', service);
    file('wide.yaml', 'kind: Policy\nname: baseline\ntarget: {}\ntimeout: {request: 5s}\n');

    expect(await remora(['get', 'services'], { env: at })).toMatchObject({ code: exitCodes.refused, err: expect.stringContaining('remora login') });
    const admin = (await remora(['api-token', 'create', '--name', 'ana', '--role', 'admin'], { env: { ...at, REMORA_TOKEN: firstToken } })).out.trim();
    expect(admin).toMatch(/^rma1\./);
    expect(await remora(['api-token', 'create', '--name', 'eve', '--role', 'admin'], { env: { ...at, REMORA_TOKEN: firstToken } })).toMatchObject({ code: exitCodes.refused });

    // Kept by a login; the commands after it need to be told nothing.
    expect(await remora(['login', '--token-stdin', '--server', server, '--ca-file', 'ca.pem'], { stdin: `${admin}\n` })).toMatchObject({ code: 0, out: expect.stringContaining('ana: admin of everything') });
    const kept = join(folder, 'home/.config/remora/login.json');
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    expect(await remora(['whoami'])).toMatchObject({ code: 0, out: expect.stringContaining('token:ana') });
    expect(await remora(['apply', '-f', 'wide.yaml', '-f', 'orders.yaml', '--author', 'mallory'])).toMatchObject({ code: 0 });
    expect((await remora(['history'])).out).toMatch(/token:ana/);

    const made = await remora(['api-token', 'create', '--name', 'ci', '--role', 'editor', '--service', 'orders', '--ttl', '1h']);
    const ci = { ...at, REMORA_TOKEN: made.out.trim() };
    expect(await remora(['apply', '-f', 'wide.yaml'], { env: ci, home: 'ci' })).toMatchObject({ code: exitCodes.refused, err: expect.stringContaining('Policy/baseline: outside of this role') });
    file('orders.yaml', `${service}labels: {team: a}\n`);
    expect(await remora(['apply', '-f', 'orders.yaml'], { env: ci, home: 'ci' })).toMatchObject({ code: 0 });
    expect(JSON.parse((await remora(['get', 'policies', '-o', 'json'], { env: ci, home: 'ci' })).out)).toMatchObject({ items: [] });

    const { out: listed } = await remora(['api-token', 'list']);
    expect(listed).toMatch(/ci\s+editor\s+service\/orders/);
    expect(listed).not.toContain(made.out.trim().split('.')[2]);
    const id = made.out.split('.')[1] ?? '';
    expect(await remora(['api-token', 'revoke', id])).toMatchObject({ code: 0 });
    expect(await remora(['get', 'services'], { env: ci, home: 'ci' })).toMatchObject({ code: exitCodes.refused, err: expect.stringContaining('revoked') });

    const audit = JSON.parse((await remora(['audit', 'list', '-o', 'json'])).out) as { items: { action: string; actor: { name: string }; outcome: string; what: Record<string, unknown> }[] };
    expect(audit.items.map(({ action, actor, outcome }) => `${action} ${actor.name} ${outcome}`)).toEqual(expect.arrayContaining(['createApiToken first done', 'documents.write ana done', 'createApiToken ana done', 'apply ci refused', 'documents.write ci done', 'revokeApiToken ana done']));
    const verified = await remora(['audit', 'verify']);
    expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/whole: \d+ entries; head \d+:[0-9a-f]{64}/) });
    const head = /head (\d+:[0-9a-f]{64})/.exec(verified.out)?.[1] ?? '';
    expect(await remora(['audit', 'export', '--to', 'audit.jsonl'])).toMatchObject({ code: 0 });
    expect(await remora(['audit', 'verify', 'audit.jsonl', '--head', head])).toMatchObject({ code: 0 });
    const exported = readFileSync(join(folder, 'audit.jsonl'), 'utf8');
    file('changed.jsonl', exported.replace('"service/orders"', '"service/others"'));
    expect(await remora(['audit', 'verify', 'changed.jsonl'])).toMatchObject({ code: exitCodes.refused, out: expect.stringMatching(/broken: from entry \d+ on nothing can be believed/) });

    // Nothing secret anywhere but where it was asked for.
    for (const secret of [firstToken, admin, made.out.trim()]) {
      const [, , middle = ''] = secret.split('.');
      expect(exported + logged.join('') + listed).not.toContain(middle);
    }
    expect(await remora(['logout'])).toMatchObject({ code: 0 });
    expect(readFileSync(kept, 'utf8')).not.toContain(admin);
  }, 60_000);

  test('a server that the authority does not vouch for is told nothing, and a token goes over no wire in the clear', async () => {
    const { server, firstToken } = await startWithTls();
    const env = { REMORA_SERVER: server, REMORA_TOKEN: firstToken };
    expect(await remora(['whoami'], { env })).toMatchObject({ code: exitCodes.unreachable });
    const other = file('other.pem', new TestAuthority().cert);
    expect(await remora(['whoami', '--ca-file', other], { env })).toMatchObject({ code: exitCodes.unreachable });
    expect(await remora(['whoami', '--pin', 'x'.repeat(43)], { env })).toMatchObject({ code: exitCodes.unreachable, err: expect.stringContaining('pin') });
    expect(await remora(['whoami', '--server', 'http://203.0.113.7:8600'], { env })).toMatchObject({ code: exitCodes.usage, err: expect.stringContaining('only over https://') });
    expect(logged.join('')).not.toContain('whoami');
  }, 30_000);

  test('with the certificate of the own authority, by its pin', async () => {
    const { api, firstToken, identity } = await start('--identity', 'mtls', '--key-storage', 'plain', '--enrolment-port', '0', '--api-tls', 'ca');
    const [root] = identity?.authorityStatus().roots ?? [];
    const pin = createHash('sha256').update(root?.raw ?? '').digest('base64url');
    const env = { REMORA_SERVER: `https://${api}`, REMORA_TOKEN: firstToken };
    expect(await remora(['whoami', '--pin', pin], { env })).toMatchObject({ code: 0, out: expect.stringContaining('first') });
    expect(await remora(['whoami'], { env })).toMatchObject({ code: exitCodes.unreachable });
  }, 30_000);

  test('a company\'s issuer: login by a code, a role by its claims, renewal, logout', async () => {
    issuer = await startIssuer();
    const own = issuer;
    let allowed = false;
    const tokens: string[] = [];
    own.answer = (request, response) => {
      const json = (status: number, body: object): true => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        return true;
      };
      if (request.url === '/device') return json(200, { device_code: 'dc', user_code: 'WDJB-MJHT', verification_uri: `${own.url}/go`, expires_in: 60, interval: 1 });
      if (request.url !== '/token') return false;
      if (!allowed) {
        allowed = true;
        return json(400, { error: 'authorization_pending' });
      }
      tokens.push(own.issuer.token({ aud: 'remora-cli', sub: 'u-7', preferred_username: 'ana', groups: ['orders-team'], exp: Math.floor(Date.now() / 1_000) + (tokens.length === 0 ? 30 : 300) }));
      return json(200, { access_token: 'opaque', id_token: tokens.at(-1), refresh_token: `refresh-${tokens.length}`, expires_in: 300 });
    };
    const roles = file('roles.yaml', 'rules:\n  - {claim: groups, value: orders-team, role: editor, services: [orders]}\n  - {everybody: true, role: viewer}\n');
    const { server } = await startWithTls('--oidc-issuer', own.url, '--oidc-audience', 'remora-cli', '--oidc-client-id', 'remora-cli', '--oidc-roles-file', roles);

    const login = await remora(['login', '--server', server, '--ca-file', 'ca.pem']);
    expect(login).toMatchObject({ code: 0, out: expect.stringContaining('ana: editor of service/orders; viewer of everything'), err: expect.stringContaining('WDJB-MJHT') });
    file('orders.yaml', service);
    // The first token ends within a minute: it is renewed before it is used.
    expect(await remora(['apply', '-f', 'orders.yaml'])).toMatchObject({ code: 0 });
    expect(tokens).toHaveLength(2);
    expect((await remora(['history'])).out).toContain('user:ana');
    file('wide.yaml', 'kind: Policy\nname: baseline\ntarget: {}\ntimeout: {request: 5s}\n');
    expect(await remora(['apply', '-f', 'wide.yaml'])).toMatchObject({ code: exitCodes.refused });
    expect(await remora(['logout'])).toMatchObject({ code: 0 });
    expect(await remora(['get', 'services', '--server', server, '--ca-file', 'ca.pem'])).toMatchObject({ code: exitCodes.refused });
  }, 60_000);

  test('a login file that others can read is not used', async () => {
    const { server, caFile, firstToken } = await startWithTls();
    await remora(['login', '--token-stdin', '--server', server, '--ca-file', caFile], { stdin: firstToken });
    const kept = join(folder, 'home/.config/remora/login.json');
    expect(existsSync(kept)).toBe(true);
    rmSync(kept);
    writeFileSync(kept, '{"logins":{}}', { mode: 0o644 });
    expect(await remora(['whoami', '--server', server, '--ca-file', caFile])).toMatchObject({ code: exitCodes.usage, err: expect.stringContaining('others can read it') });
  }, 30_000);
});
