/** What the next bytes of an accepted connection are looked at for, until a codec or a tunnel takes them. */
export type ConnectionPhase = typeof proxyHeader | typeof clientHello | typeof meshHello | typeof handshake | typeof firstRequest | typeof refused;

export const proxyHeader = 0;
export const clientHello = 1;
export const handshake = 2;
export const firstRequest = 3;
export const refused = 4;
/** An inbound port: a ClientHello of a caller of the mesh, or anything else. */
export const meshHello = 5;
