/** What a load balancer says about the connection that it passes on (the PROXY protocol of HAProxy, versions 1 and 2). */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** null: its own connection (LOCAL, UNKNOWN, UNSPEC): the addresses of the socket hold. */
  readonly addresses: ProxyAddresses | null;
  /** Version 2: the host name that the client asked for (PP2_TYPE_AUTHORITY); '' where not said. Not checked to be a host name. */
  readonly authority: string;
  /** Version 2: id of the connection, at most 128 bytes (PP2_TYPE_UNIQUE_ID); empty where not said. */
  readonly uniqueId: Uint8Array;
}

/** Addresses of both families as text; ports 0 to 65535. */
export interface ProxyAddresses {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

export type ProxyHeaderResult =
  | { readonly kind: 'more' }
  /** `used`: bytes of the header; what follows is the connection's own. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly used: number }
  | { readonly kind: 'bad'; readonly problem: string };

/** Longest header that is accepted, with all of its TLVs. */
export const proxyHeaderBytesMax = 4096;

export const moreBytes: ProxyHeaderResult = Object.freeze({ kind: 'more' });

export function badHeader(problem: string): ProxyHeaderResult {
  return { kind: 'bad', problem };
}
