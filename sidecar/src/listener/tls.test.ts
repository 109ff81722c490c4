import { afterEach, describe, expect, it } from 'vitest';
import { TestAuthority } from '@remora/testing/test-authority';
import { TlsRig, visit } from '../tls/testdata/tls-rig.ts';

const authority = new TestAuthority();
let rig: TlsRig | null = null;

afterEach(async () => {
  await rig?.close();
  rig = null;
});

describe('TLS on a listener', () => {
  it('answers a request behind a handshake', async () => {
    rig = await TlsRig.start({ certificates: [authority.issue({ dns: ['a.test'] })] });
    const got = await visit(rig.port, { servername: 'a.test', ca: authority.cert, rejectUnauthorized: true });
    expect(got).toMatchObject({ error: '', protocol: 'TLSv1.3', shown: 'a.test' });
    expect(got.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*hello$/);
    expect(rig.counts()).toMatchObject({ 'tls_full-TLSv1.3': 1 });
  });
});
