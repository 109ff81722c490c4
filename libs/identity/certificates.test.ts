import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { CertificationRequest, CryptoEngine, setEngine } from 'pkijs';
import { describe, expect, test } from 'vitest';
import { certificateFacts } from './certificate-facts.ts';
import { createCertificateRequest, nameOf } from './certificate-request.ts';
import { rootProfile, svidProfile, svidLifeMs } from './certificate-profile.ts';
import { der } from './der.ts';
import { issueCertificate } from './issue-certificate.ts';
import { certificatePem, readCertificates } from './pem.ts';
import { readCertificateRequest, requestBytesMax } from './read-certificate-request.ts';
import { isRenewalProof, signRenewal } from './renewal-proof.ts';
import { verifyChain } from './verify-chain.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const spiffeId = 'spiffe://shop.example/service/orders';

function ecKey(namedCurve = 'P-256'): KeyObject {
  return generateKeyPairSync('ec', { namedCurve }).privateKey;
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

describe('a certification request', () => {
  const key = ecKey();
  const bytes = createCertificateRequest({ key, spiffeId, nodeId: 'orders-1' });

  test('is read back', () => {
    const read = readCertificateRequest(bytes);
    if (!read.ok) throw new Error(read.problem);
    expect(read.request).toMatchObject({ commonName: 'orders-1', uris: [spiffeId], otherNames: 0 });
    expect(read.request.spki).toEqual(spkiOf(key));
  });

  test('is good for other readers: a library, and openssl', async () => {
    setEngine('node', new CryptoEngine({ name: 'node', crypto: globalThis.crypto }) as unknown as Parameters<typeof setEngine>[1]);
    const request = CertificationRequest.fromBER(bytes);
    expect(await request.verify()).toBe(true);
    const text = execFileSync('openssl', ['req', '-inform', 'DER', '-noout', '-text', '-verify'], { input: bytes, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] });
    expect(text).toContain(`URI:${spiffeId}`);
    expect(text).toContain('CN = orders-1');
  });

  test('of openssl is read', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'remora-csr-'));
    try {
      const file = path.join(folder, 'key.pem');
      writeFileSync(file, key.export({ type: 'pkcs8', format: 'pem' }));
      const made = execFileSync('openssl', ['req', '-new', '-key', file, '-subj', '/O=Shop/CN=orders-2', '-addext', `subjectAltName=URI:${spiffeId},DNS:orders.example`, '-outform', 'DER'], { stdio: ['ignore', 'pipe', 'ignore'] });
      expect(readCertificateRequest(made)).toMatchObject({ ok: true, request: { commonName: 'orders-2', uris: [spiffeId], otherNames: 1 } });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  const signedBy = (info: Buffer, by: KeyObject): Buffer => der.sequence(info, der.sequence(der.oid('1.2.840.10045.4.3.2')), der.bits(sign('sha256', info, by)));
  const infoFor = (spki: Buffer): Buffer => der.sequence(der.integer(Buffer.of(0)), nameOf('x'), spki, der.context(0, Buffer.alloc(0), true));
  const wrong: readonly [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'bad-request'],
    ['a certificate', Buffer.from(selfSigned().raw), 'bad-request'],
    ['too much', Buffer.alloc(requestBytesMax + 1), 'bad-request'],
    ['something behind it', Buffer.concat([bytes, Buffer.of(0)]), 'bad-request'],
    ['another key\'s signature', signedBy(infoFor(spkiOf(key)), ecKey()), 'key-proof'],
    ['a P-384 key', signedBy(infoFor(spkiOf(ecKey('P-384'))), ecKey('P-384')), 'bad-request'],
    ['a key that is none', signedBy(infoFor(der.sequence()), key), 'bad-request'],
  ];
  test.each(wrong)('%s is refused', (_name, given, code) => {
    expect(readCertificateRequest(given)).toMatchObject({ ok: false, code });
  });

  test('changed in any bit is refused or asks for nothing else', () => {
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      expect(readCertificateRequest(changed).ok, `byte ${at}`).toBe(false);
    }
  });

  test('any bytes are answered, never thrown', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (any) => {
      expect(readCertificateRequest(any).ok).toBe(false);
    }));
  });

  test('a proof of renewal holds for one request and one key', () => {
    const proof = signRenewal(bytes, key);
    expect(isRenewalProof(bytes, proof, createPublicKey(key))).toBe(true);
    expect(isRenewalProof(Buffer.concat([bytes, Buffer.of(0)]), proof, createPublicKey(key))).toBe(false);
    expect(isRenewalProof(bytes, proof, createPublicKey(ecKey()))).toBe(false);
    expect(isRenewalProof(bytes, Buffer.of(1, 2, 3), createPublicKey(key))).toBe(false);
  });
});

function selfSigned(): X509Certificate {
  const key = ecKey();
  return issueCertificate(rootProfile({ trustDomain: 'shop.example', nowMs }), spkiOf(key), { certificate: null, key });
}

describe('an SVID', () => {
  const rootKey = ecKey();
  const root = issueCertificate(rootProfile({ trustDomain: 'shop.example', nowMs }), spkiOf(rootKey), { certificate: null, key: rootKey });
  const leafKey = ecKey();
  const profile = svidProfile({ trustDomain: 'shop.example', subject: { kind: 'service', name: 'orders' }, nodeId: 'orders-1', nowMs, authorityEndsMs: root.validToDate.getTime() });
  const leaf = issueCertificate(profile, spkiOf(leafKey), { certificate: root, key: rootKey });

  test('has the names, the times and the usages of its profile', () => {
    expect(certificateFacts(leaf)).toMatchObject({ commonName: 'orders-1', uris: [spiffeId], otherNames: 0, isAuthority: false, keyUsage: 0x8000, extendedUsages: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'] });
    expect(leaf.validToDate.getTime() - nowMs).toBe(svidLifeMs);
    expect(leaf.checkPrivateKey(leafKey)).toBe(true);
    expect(leaf.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    expect(certificateFacts(root)).toMatchObject({ uris: ['spiffe://shop.example'], isAuthority: true, pathLength: 0, keyUsage: 0x0600 });
  });

  test('is good for openssl, as client and as server', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'remora-svid-'));
    try {
      writeFileSync(path.join(folder, 'root.pem'), certificatePem(root.raw));
      writeFileSync(path.join(folder, 'leaf.pem'), certificatePem(leaf.raw));
      for (const purpose of ['sslclient', 'sslserver']) {
        const said = execFileSync('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-attime', String(nowMs / 1_000), '-CAfile', 'root.pem', 'leaf.pem'], { cwd: folder, encoding: 'utf8' });
        expect(said).toBe('leaf.pem: OK\n');
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('is verified against its root', () => {
    const bundle = { trustDomain: 'shop.example', roots: [selfSigned(), root] };
    expect(verifyChain({ leaf, intermediates: [], bundle, nowMs, purpose: 'client' })).toMatchObject({ ok: true, id: { path: '/service/orders' }, commonName: 'orders-1', endsMs: leaf.validToDate.getTime() });
  });

  test('never outlives its authority', () => {
    const cut = svidProfile({ trustDomain: 't', subject: { kind: 'gateway', name: 'edge' }, nodeId: 'x', nowMs, authorityEndsMs: nowMs + 1_000 });
    expect(cut).toMatchObject({ uri: 'spiffe://t/gateway/edge', notAfterMs: nowMs + 1_000 });
  });

  test('PEM texts', () => {
    const text = `# a comment\n${certificatePem(leaf.raw)}${certificatePem(root.raw)}`;
    const read = readCertificates(text);
    expect(typeof read === 'string' ? read : read.map((one) => one.fingerprint256)).toEqual([leaf.fingerprint256, root.fingerprint256]);
    expect(readCertificates('')).toBe('there is no certificate in it');
    expect(readCertificates('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----')).toBe('its certificate 1 cannot be read');
  });
});
