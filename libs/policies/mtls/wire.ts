import { boundedList, boundedText, decodeMessage, oneWord } from '@remora/policy-kit/wire-check';
import { Mtls } from './gen/mtls.ts';

export const mtlsModes = ['strict', 'permissive', 'disabled'] as const;

/**
 * `strict`: only callers with a certificate of the mesh. `permissive`: those, and whoever comes without. `disabled`: no mTLS is offered; ClientHellos are
 * bytes like others.
 */
export type MtlsMode = (typeof mtlsModes)[number];

/**
 * How the inbound ports of a Service take their callers. The listener does the handshakes, by `modeOf` and `trustDomains`; the filter refuses requests of
 * callers without a certificate where the mode is strict.
 */
export interface MtlsSettings {
  readonly mode: MtlsMode;
  /** By port name, where it differs. */
  readonly ports: ReadonlyMap<string, MtlsMode>;
  /** Accepted beside the own one. Sorted. */
  readonly trustDomains: readonly string[];
}

export const portsMax = 64;
export const trustDomainsMax = 16;

export const mtlsWire = { name: 'mtls', format: 1, decode: decodeMtls } as const;

/** Where no section is in force. */
export const defaultMtls: MtlsSettings = Object.freeze({ mode: 'permissive', ports: new Map(), trustDomains: Object.freeze([]) });

export function modeOf({ mode, ports }: MtlsSettings, port: string): MtlsMode {
  return ports.get(port) ?? mode;
}

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeMtls(bytes: Uint8Array): MtlsSettings {
  const message = decodeMessage(Mtls, bytes);
  const ports = boundedList(message.ports, '/ports', portsMax).map(({ port, mode }): [string, MtlsMode] => [boundedText(port, '/ports', 63), oneWord(mode, `/ports/${port}`, mtlsModes)]);
  const trustDomains = boundedList(message.trustDomains, '/trustDomains', trustDomainsMax).map((name) => boundedText(name, '/trustDomains', 255, /^[a-z0-9._-]+$/));
  return Object.freeze({ mode: oneWord(message.mode, '/mode', mtlsModes), ports: new Map(ports), trustDomains: Object.freeze(trustDomains) });
}
