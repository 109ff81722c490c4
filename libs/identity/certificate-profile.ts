import type { Subject } from '@remora/core/subject';
import { controlPlaneSpiffeId, formatSpiffeId, subjectSpiffeId } from './spiffe-id.ts';

/** What a certificate says beside its key. There are three: of sidecars, of the control plane, and of the authority itself. */
export type CertificateProfile = LeafProfile | AuthorityProfile;

interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** An X.509-SVID: signs handshakes as client and as server, and nothing else. */
export interface LeafProfile extends Validity {
  readonly kind: 'leaf';
  readonly commonName: string;
  readonly uri: string;
}

export interface AuthorityProfile extends Validity {
  readonly kind: 'authority';
  readonly commonName: string;
  readonly uri: string;
  /** How many authorities may stand below. */
  readonly pathLength: number;
}

/** How long an SVID is good: renewed at half of it, 36 h always remain. */
export const svidLifeMs = 72 * 3_600_000;
export const rootLifeMs = 10 * 365 * 86_400_000;
/** A certificate is good a little before it was made: clocks differ. */
export const backdateMs = 5 * 60_000;

/** Common names have at most 64 characters (RFC 5280 appendix A.1, ub-common-name). */
const commonNameMax = 64;

/** The certificate of one instance: the service in the SPIFFE id, the instance in the subject. Its times are cut to those of the authority. */
export function svidProfile(of: { readonly trustDomain: string; readonly subject: Subject; readonly nodeId: string; readonly nowMs: number; readonly authorityEndsMs: number }): LeafProfile {
  return leaf(formatSpiffeId(subjectSpiffeId(of.trustDomain, of.subject)), of.nodeId, of);
}

export function controlPlaneProfile(of: { readonly trustDomain: string; readonly nowMs: number; readonly authorityEndsMs: number }): LeafProfile {
  return leaf(formatSpiffeId(controlPlaneSpiffeId(of.trustDomain)), 'control-plane', of);
}

export function rootProfile(of: { readonly trustDomain: string; readonly nowMs: number }): AuthorityProfile {
  return {
    kind: 'authority', commonName: `Remora ${of.trustDomain}`.slice(0, commonNameMax), uri: formatSpiffeId({ trustDomain: of.trustDomain, path: '' }), pathLength: 0,
    notBeforeMs: of.nowMs - backdateMs, notAfterMs: of.nowMs + rootLifeMs,
  };
}

/** Whether an instance's name fits into the subject of a certificate. */
export function fitsCommonName(nodeId: string): boolean {
  return nodeId.length <= commonNameMax;
}

function leaf(uri: string, commonName: string, { nowMs, authorityEndsMs }: { readonly nowMs: number; readonly authorityEndsMs: number }): LeafProfile {
  return { kind: 'leaf', commonName, uri, notBeforeMs: nowMs - backdateMs, notAfterMs: Math.min(nowMs + svidLifeMs, authorityEndsMs) };
}
