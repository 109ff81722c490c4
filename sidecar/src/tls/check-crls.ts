import { X509Certificate } from 'node:crypto';
import { certificateIssuer } from '@remora/identity/certificate-issuer';
import { readRevocationList, type RevocationList, type RevocationListResult } from '@remora/identity/revocation-list';
import { crlListsMax, type CrlFacts } from '@remora/policy-kit/crl-facts';

export type CrlCheck =
  | { readonly ok: true; readonly lists: readonly RevocationList[] }
  /** `problem` goes on from the name of the file. */
  | { readonly ok: false; readonly code: string; readonly problem: string };

/** The lists of one file, PEM (several) or DER (one): all of them are good, or none is used. */
export function checkCrls(file: Buffer, authorities: readonly X509Certificate[], nowMs: number): CrlCheck {
  const blocks = file[0] === 0x30 ? [file] : pemBlocks(file.toString('latin1'));
  if (blocks.length === 0) return { ok: false, code: 'invalid-crl', problem: 'holds no list of revoked certificates (X509 CRL), neither in PEM nor in DER' };
  if (blocks.length > crlListsMax) return { ok: false, code: 'too-many', problem: `holds ${blocks.length} lists, at most ${crlListsMax} are read` };
  const lists: RevocationList[] = [];
  for (const block of blocks) {
    const read: RevocationListResult = readRevocationList(block, authorities);
    if (!read.ok) return read;
    if (read.list.fromMs > nowMs + clockSkewMs) return { ok: false, code: 'early-crl', problem: `holds a list that is not valid before ${new Date(read.list.fromMs).toISOString()}; is a clock wrong?` };
    lists.push(read.list);
  }
  return { ok: true, lists };
}

/** Certificates of a bundle; what cannot be read is said elsewhere, by who reads it for handshakes. */
export function authoritiesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

/** As data threads need them. An authority that another list revokes takes all below it along. */
export function crlFacts(lists: readonly RevocationList[]): ReadonlyMap<RevocationList, CrlFacts> {
  const revoked = new Set<RevocationList>();
  // Each round reaches one authority further down.
  for (let before = -1; revoked.size > before;) {
    before = revoked.size;
    for (const list of lists) if (lists.some((other) => revokes(other, list, revoked.has(other)))) revoked.add(list);
  }
  return new Map(lists.map((list) => [list, {
    issuerHash: list.issuerHash, issuerKeyId: list.issuerKeyId, endsMs: list.endsMs, issuerRevoked: revoked.has(list), serials: Buffer.from(list.serials.join(''), 'hex'),
  }]));
}

function revokes(by: RevocationList, { issuer }: RevocationList, all: boolean): boolean {
  const { serial, issuerHash, issuerKeyId } = certificateIssuer(issuer);
  const own = by.issuerHash === issuerHash && (by.issuerKeyId === issuerKeyId || by.issuerKeyId === '' || issuerKeyId === '');
  return own && (by.serials.includes(serial) || (all && by.issuer.fingerprint256 !== issuer.fingerprint256));
}

function pemBlocks(text: string): Buffer[] {
  const blocks = text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
  return blocks.map((block) => Buffer.from(block.replace(/-----[^-]+-----/g, ''), 'base64'));
}

const clockSkewMs = 5 * 60_000;
