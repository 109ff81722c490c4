import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../processes/raw-client.ts';
import { RecordingApp } from '../processes/recording-app.ts';
import { startEdge, type Edge } from './edge.ts';
import { Fixture } from './fixture.ts';

/** security.md 3.1 to 3.3 through a real gateway process: one canonical path for everybody, and no header of ours from outside. */
describe('paths and headers from outside', () => {
  const fixture = new Fixture();
  let app: RecordingApp;
  let edge: Edge;

  beforeAll(async () => {
    app = await RecordingApp.start();
    edge = await startEdge(fixture, {
      upstreams: [app.port],
      documents: '{kind: Route, name: closed, gateway: edge, match: {path: {prefix: /admin}}, respond: {status: 403}}',
    });
  });

  afterAll(async () => {
    await fixture.end();
    await app.close();
  });

  async function send(target: string, fields = ''): Promise<{ readonly status: number; readonly text: string }> {
    const client = await RawClient.open(edge.port);
    client.write(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${fields}\r\n`);
    await client.untilClosed();
    client.destroy();
    return { status: client.status, text: client.text };
  }

  /** What an upstream could make of a target, if it were as lenient as the most lenient one. */
  function reachesAdmin(url: string): boolean {
    let path = url.split(/[?#]/)[0] ?? '';
    for (let round = 0; round < 3; round++) path = path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    const segments: string[] = [];
    for (const raw of path.replaceAll('\\', '/').split('/')) {
      const segment = raw.replace(/;.*/, '');
      if (segment === '..') segments.pop();
      else if (segment !== '' && segment !== '.') segments.push(segment);
    }
    return segments[0]?.toLowerCase().startsWith('admin') ?? false;
  }

  const spellings = [
    '/admin', '/admin/', '/admin/users', '/admin?x=/public', '/%61dmin', '/%61%64%6d%69%6e', '/%61%64%6D%69%6E/x', '//admin', '///admin', '/./admin', '/.//admin',
    '/public/../admin', '/public/..//admin', '/public/%2e%2e/admin', '/public/%2E./admin', '/public/.%2e/admin', '/public/..%2fadmin', '/public%2f..%2fadmin', '/public/..%2Fadmin',
    '/%2fadmin', '/%2Fadmin', '/%5cadmin', '/\\admin', '/public/..\\admin', '/public\\..\\admin', '/public/..%5cadmin', '/admin%2fusers', '/admin%5cusers',
    '/admin;x=y', '/;/admin', '/public;/../admin', '/public/..;/admin', '/admin%3bx', '/admin#x', '/public#/../admin', '/public%23/../admin',
    '/%2561dmin', '/%252e%252e/admin', '/public/%252e%252e%252fadmin', '/public/%25%32%65%25%32%65/admin', '/%25%36%31dmin',
    '/%c0%afadmin', '/public/%c0%ae%c0%ae/admin', '/public/%e0%80%ae%e0%80%ae/admin', '/%c1%a1dmin', '/%f0%80%80%afadmin', '/%e0%80%afadmin',
    '/admin%00', '/admin%0a', '/admin%0d%0a', '/%7fadmin', '/%00/admin', '/public%00/../admin', '/admin%', '/%6', '/%zzadmin', '/%u0061dmin', '/public/../../admin', '/../admin',
    'http://a/admin', 'http://a//admin', 'http://a/public/../admin', 'http://a/%61dmin', 'http://a\\admin',
  ];

  test.each(spellings)('%s does not reach what is closed', async (target) => {
    const before = app.begun.length;
    const { status } = await send(target);
    expect([400, 403, 404]).toContain(status);
    expect(app.begun.slice(before).filter((seen) => reachesAdmin(seen.slice(4)))).toEqual([]);
  });

  test.each([['mergeSlashes', '//admin'], ['resolveDotSegments', '/public/../admin'], ['resolveDotSegments', '/public/%2e%2e/admin'], ['allowEncodedSlash', '/%2fadmin'], ['allowBackslash', '/\\admin'], ['allowSemicolon', '/public/..;/admin'], ['allowEncodedControl', '/admin%0a']])(
    'with %s, %s is matched as it is forwarded', async (rule, target) => {
      await edge.apply(`{kind: Gateway, name: edge, listeners: {plain: {port: 0}}, pathRules: {${rule}: true}}`);
      const before = app.complete.length;
      const { status } = await send(target);
      const [seen] = app.complete.slice(before);
      // Either the closed route has it, or what went on is one segment, spelled so that nobody takes it for another path.
      if (seen === undefined) expect([400, 403]).toContain(status);
      else expect(seen.url).toMatch(/^\/(?:%2Fadmin|%5Cadmin|admin%0A|public\/\.\.;\/admin)$/);
    });

  test('what only Remora says is not taken from outside, in no alias', async () => {
    const names = [
      'x-remora-deadline', 'X-Remora-Hop', 'x_remora_attempt', 'x.remora.reason', 'x-remora-anything', 'X_Remora.Else',
      'forwarded', 'x-forwarded-host', 'x-forwarded-port', 'x_forwarded_proto', 'x.forwarded.for', 'X-Forwarded_Client-Cert', 'x-forwarded-client-cert',
    ];
    const { status } = await send('/public', `${names.map((name) => `${name}: forged\r\n`).join('')}x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\nx-request-id: forged\r\n`);
    expect(status).toBe(200);
    const seen = app.complete.at(-1);
    expect(JSON.stringify(seen?.rawHeaders)).not.toMatch(/forged|6\.6\.6\.6/);
    expect(seen?.headers).toMatchObject({ 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/) });
  });

  test('Connection cannot strip what the gateway adds or needs, and what it names is not forwarded', async () => {
    const named = 'x-request-id, x-forwarded-for, x-forwarded-proto, host, authorization, content-length, transfer-encoding, x-private';
    const { status } = await send('/public', `connection: ${named}\r\nauthorization: Bearer t\r\nx-private: secret\r\nkeep-alive: timeout=1\r\nte: trailers\r\nproxy-connection: x\r\nupgrade: h2c\r\n`);
    expect(status).toBe(200);
    const seen = app.complete.at(-1);
    expect(seen?.headers).toMatchObject({ host: 'a', 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-request-id': expect.any(String) });
    for (const name of ['x-private', 'keep-alive', 'proxy-connection', 'upgrade']) expect(seen?.headers[name]).toBeUndefined();
    const client = await RawClient.open(edge.port);
    client.write('POST /body HTTP/1.1\r\nhost: a\r\nconnection: content-length, close\r\ncontent-length: 3\r\n\r\nabc');
    await client.untilClosed();
    client.destroy();
    expect([client.status, app.complete.at(-1)?.bodyBytes]).toEqual([200, 3]);
  });
});
