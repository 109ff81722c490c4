import { createPrivateKey, X509Certificate } from 'node:crypto';
import { encodeTrustBundle, trustBundleKind } from '@remora/identity/trust-bundle-facts';
import { encodeWorkload, workloadFact } from '@remora/identity/workload-facts';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, describe, expect, test } from 'vitest';
import { MeshAuthority } from '../tls/testdata/mesh-rig.ts';
import { TlsRig, factsIn, visit } from '../tls/testdata/tls-rig.ts';

const mesh = new MeshAuthority('shop.example');
const partners = new TestAuthority('partners');
const own = mesh.issue('gateway/edge');
let rig: TlsRig | null = null;
afterEach(async () => {
  await rig?.close();
  rig = null;
});

/** A gateway with an identity of the mesh, whose listener believes the partners' authority, and that of the mesh. */
async function start(): Promise<TlsRig> {
  rig = await TlsRig.start({ certificates: [partners.issue({ dns: ['a.test'] })], tls: { clientCaFiles: ['/ca.pem'] }, files: { '/ca.pem': `${partners.cert}${mesh.root.cert}` } });
  const raw = (pem: string): Uint8Array => new X509Certificate(pem).raw;
  const workload = encodeWorkload({ key: createPrivateKey(own.key).export({ type: 'pkcs8', format: 'der' }), chain: [raw(own.cert)], spiffeId: 'spiffe://shop.example/gateway/edge', trustDomain: 'shop.example' });
  await rig.plane.useFacts({ kind: trustBundleKind, full: true, facts: new Map([['shop.example', encodeTrustBundle({ trustDomain: 'shop.example', roots: [raw(mesh.root.cert)], sequence: 1 })]]) });
  await rig.plane.useFacts({ kind: workloadFact.kind, full: true, facts: new Map([[workloadFact.name, workload]]) });
  return rig;
}

const web = 'spiffe://shop.example/service/web';

describe('a client certificate of an authority from outside', () => {
  test('with an id of our own trust domain makes nobody a caller of the mesh, resumed or not', async () => {
    const { port } = await start();
    const forged = partners.issue({ commonName: 'web-1', uris: [web] });
    const first = await visit(port, { ...forged, maxVersion: 'TLSv1.2' });
    expect(factsIn(first.text)).toMatchObject({ principal: '', clientCertificate: { uris: [web] } });
    const again = await visit(port, { ...forged, maxVersion: 'TLSv1.2', ...(first.session && { session: first.session }) });
    expect(again.reused).toBe(true);
    expect(factsIn(again.text)).toMatchObject({ principal: '', clientCertificate: { uris: [web] } });
  });

  test('with an id of another trust domain is known by it, and told to policies', async () => {
    const { port } = await start();
    expect(factsIn((await visit(port, partners.issue({ uris: ['spiffe://partner.example/till'] }))).text)).toMatchObject({ principal: 'spiffe://partner.example/till', clientCertificate: { uris: ['spiffe://partner.example/till'] } });
    expect(factsIn((await visit(port, partners.issue({ dns: ['till.partner.test'] }))).text)).toMatchObject({ principal: '', clientCertificate: { dnsNames: ['till.partner.test'] } });
  });
});

test('a certificate of the mesh stays one, where a listener believes its authority too', async () => {
  const { port } = await start();
  const facts = factsIn((await visit(port, mesh.issue('service/web'))).text);
  expect(facts).toMatchObject({ principal: web });
  expect(facts).not.toHaveProperty('clientCertificate');
});
