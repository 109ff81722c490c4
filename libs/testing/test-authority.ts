import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { der } from '@remora/identity/der';

export type TestKeyType = 'ec' | 'rsa' | 'ed25519';

export interface TestCertificateOptions {
  readonly commonName?: string;
  /** Subject alternative names, as they are to be written. */
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  /** IPv4. */
  readonly addresses?: readonly string[];
  readonly keyType?: TestKeyType;
  readonly authority?: boolean;
  /** Object identifiers of the extended key usage; without them there is none. */
  readonly usages?: readonly string[];
  readonly validFrom?: Date;
  readonly validTo?: Date;
}

export interface TestCertificate {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

/** Tests only: a certificate authority made on the spot, which issues what a test needs, also what no real one would. */
export class TestAuthority implements TestCertificate {
  readonly cert: string;
  readonly key: string;
  readonly #keys: KeyPair;
  readonly #name: Buffer;

  constructor(commonName = 'Remora test authority', by?: TestAuthority, keyType: TestKeyType = 'ec') {
    this.#keys = makeKeys(keyType);
    this.#name = nameOf(commonName);
    const issuer = by ?? this;
    this.cert = pem(certificate(this.#keys.publicKey, this.#name, { authority: true }, { keys: issuer.#keys, name: issuer.#name }));
    this.key = keyPem(this.#keys.privateKey);
  }

  issue(options: TestCertificateOptions): TestCertificate {
    const keys = makeKeys(options.keyType ?? 'ec');
    const subject = nameOf(options.commonName ?? options.dns?.[0] ?? 'test');
    return { cert: pem(certificate(keys.publicKey, subject, options, { keys: this.#keys, name: this.#name })), key: keyPem(keys.privateKey) };
  }
}

interface KeyPair {
  readonly type: TestKeyType;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

interface Issuer {
  readonly keys: KeyPair;
  readonly name: Buffer;
}

/** RFC 5280 section 4.1. */
function certificate(publicKey: KeyObject, subject: Buffer, options: TestCertificateOptions, issuer: Issuer): Buffer {
  const now = Date.now();
  const signature = signatureAlgorithms[issuer.keys.type];
  const from = options.validFrom ?? new Date(now - 3_600_000);
  const to = options.validTo ?? new Date(now + 10 * 365 * 86_400_000);
  const body = der.sequence(
    der.context(0, der.integer(Buffer.of(2)), true),
    der.integer(Buffer.concat([Buffer.of(1), randomBytes(15)])),
    signature,
    issuer.name,
    der.sequence(der.time(from), der.time(to)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.context(3, der.sequence(...extensions(publicKey, options, issuer)), true),
  );
  return der.sequence(body, signature, der.bits(sign(issuer.keys.type === 'ed25519' ? null : 'sha256', body, issuer.keys.privateKey)));
}

function extensions(publicKey: KeyObject, { authority = false, dns = [], uris = [], addresses = [], usages = [] }: TestCertificateOptions, issuer: Issuer): Buffer[] {
  const usage = authority ? der.bits(Buffer.of(0x86), 1) : der.bits(Buffer.of(0xa0), 5);
  const made = [
    extension('2.5.29.19', authority ? der.sequence(der.boolean(true)) : der.sequence(), true),
    extension('2.5.29.15', usage, true),
    extension('2.5.29.14', der.octets(keyId(publicKey))),
    extension('2.5.29.35', der.sequence(der.context(0, keyId(issuer.keys.publicKey), false))),
  ];
  const names = [
    ...dns.map((name) => der.context(2, Buffer.from(name, 'latin1'), false)),
    ...uris.map((uri) => der.context(6, Buffer.from(uri, 'latin1'), false)),
    ...addresses.map((address) => der.context(7, Buffer.from(address.split('.').map(Number)), false)),
  ];
  if (usages.length > 0) made.push(extension('2.5.29.37', der.sequence(...usages.map((oid) => der.oid(oid)))));
  if (names.length > 0) made.push(extension('2.5.29.17', der.sequence(...names)));
  return made;
}

function extension(oid: string, value: Buffer, critical = false): Buffer {
  return der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octets(value));
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha1').update(key.export({ type: 'spki', format: 'der' })).digest();
}

function nameOf(commonName: string): Buffer {
  return der.sequence(der.set(der.sequence(der.oid('2.5.4.3'), der.utf8(commonName))));
}

/** RSA keys take long to make: a few are shared by all certificates of a test run. */
const rsaKeys: KeyPair[] = [];
let nextRsaKey = 0;

function makeKeys(type: TestKeyType): KeyPair {
  if (type === 'ed25519') return { type, ...generateKeyPairSync('ed25519') };
  if (type === 'ec') return { type, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
  if (rsaKeys.length < 2) rsaKeys.push({ type, ...generateKeyPairSync('rsa', { modulusLength: 2048 }) });
  return rsaKeys[nextRsaKey++ % rsaKeys.length] as KeyPair;
}

const signatureAlgorithms: Readonly<Record<TestKeyType, Buffer>> = {
  ec: der.sequence(der.oid('1.2.840.10045.4.3.2')),
  rsa: der.sequence(der.oid('1.2.840.113549.1.1.11'), Buffer.of(5, 0)),
  ed25519: der.sequence(der.oid('1.3.101.112')),
};

function pem(bytes: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${(bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`;
}

function keyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}
