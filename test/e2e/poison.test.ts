import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningControlPlane } from '../processes/remora.ts';
import { Fixture, markPolicy, twoServices } from './fixture.ts';

/** faults.md 4 and the issue's list of bad input, against the API of a real process. */
describe('bad input to the control plane', () => {
  const fixture = new Fixture();
  let controlPlane: RunningControlPlane;
  beforeAll(async () => {
    controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
  });
  afterAll(() => fixture.end());

  const deep = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghij'[i]}`).join(',')}]`).join('\n')}\n`;

  test.each<{ readonly name: string; readonly body: string | Uint8Array; readonly type?: string; readonly status: number; readonly says: RegExp }>([
    { name: 'an unknown field', body: 'kind: Service\nname: a\nprots: {http: {port: 1}}\n', status: 422, says: /did you mean|suggestion.*ports/s },
    { name: 'a duplicate key', body: 'kind: Service\nname: a\nname: b\n', status: 422, says: /duplicate|unique/i },
    { name: 'anchors that explode', body: bomb, status: 422, says: /alias|anchor/i },
    { name: 'deep nesting', body: deep(5_000), type: 'application/json', status: 422, says: /depth|deep|nest/i },
    { name: 'invalid UTF-8', body: new Uint8Array([0x6b, 0x69, 0x6e, 0x64, 0x3a, 0x20, 0xff, 0xfe]), status: 422, says: /utf-8/i },
    { name: 'a document named __proto__', body: 'kind: Service\nname: __proto__\nports: {http: {port: 1}}\n', status: 422, says: /name/ },
    { name: 'an unknown kind with a near spelling', body: 'kind: Sevice\nname: a\n', status: 422, says: /Service/ },
    { name: 'an empty section', body: 'kind: Policy\nname: p\ntarget: {}\nretry:\n', status: 422, says: /retry/ },
    { name: 'a kind that this build does not have', body: 'kind: Policy\nname: p\ntarget: {}\nwaf: {enabled: true}\n', status: 422, says: /not available/i },
    { name: 'a policy for a service that does not exist', body: 'kind: Policy\nname: p\ntarget: {service: ordres}\ntimeout: {request: 1s}\n', status: 422, says: /orders/ },
    { name: 'nothing at all', body: '', status: 422, says: /document|empty/i },
  ])('$name', async ({ body, type, status, says }) => {
    const response = await fetch(`${controlPlane.api}/v1/apply`, { method: 'POST', headers: { 'content-type': type ?? 'application/yaml' }, body });
    const text = await response.text();
    expect([status, 400]).toContain(response.status);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(text).toMatch(says);
  });

  test('a body beyond the bound is refused before it is read', async () => {
    const megabyte = `# ${'x'.repeat(1 << 20)}\n`;
    const response = await fetch(`${controlPlane.api}/v1/apply`, { method: 'POST', headers: { 'content-type': 'application/yaml' }, body: megabyte.repeat(80) }).catch((error: unknown) => error as Error);
    expect(response instanceof Error ? 413 : response.status).toBe(413);
    await controlPlane.apply(markPolicy(1));
  });

  test('HTTP/2 to the API port gets an answer that says so', async () => {
    const socket = connect({ port: Number(new URL(controlPlane.api).port), host: '127.0.0.1' });
    socket.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    // In its own language: a GOAWAY (RFC 9113 section 6.8) whose debug data is for people.
    expect(text).toContain('HTTP/1.1');
  });

  test('afterwards everything that was there is there', async () => {
    const response = await fetch(`${controlPlane.api}/v1/services`);
    const text = await response.text();
    expect(text).toContain('orders');
    expect(text).toContain('web');
    expect((await fetch(`${controlPlane.api}/readyz`)).status).toBe(200);
  });
});
