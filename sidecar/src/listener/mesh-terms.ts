import { defaultMtls, modeOf, type MtlsMode, type MtlsSettings } from '@remora/policy-mtls/wire';
import type { EffectiveSettings } from '@remora/snapshot/effective-settings';

/** How an inbound port takes callers of the mesh, by the `mtls` section of its settings. */
export interface MeshTerms {
  readonly mode: MtlsMode;
  /** Accepted beside the own one. */
  readonly trustDomains: readonly string[];
}

/** In shadow nothing is asked for that is not asked for anyway. */
export function meshTermsOf(settings: EffectiveSettings, port: string): MeshTerms {
  const section = settings.sections.find(({ kind }) => kind === 'mtls');
  const mtls = section === undefined || section.shadow ? defaultMtls : section.settings as MtlsSettings;
  return Object.freeze({ mode: modeOf(mtls, port), trustDomains: mtls.trustDomains });
}

/** ALPN of request ports, in order of preference. */
export const meshProtocols: readonly string[] = ['h2', 'http/1.1'];

/** First byte of a TLS record that carries a handshake (RFC 8446 section 5.1). */
export const handshakeRecord = 22;
/** Handshakes of the mesh that one listener has under way: beyond it new ones are closed. */
export const meshHandshakesMax = 1_000;
export const meshHandshakeMs = 10_000;
/** Where the server may be the one who speaks first, a client that has said nothing for this long is no caller of the mesh: those begin at once. */
export const meshSilenceMs = 1_000;
