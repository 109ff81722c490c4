/** Fatal alerts (RFC 8446 section 6) that we send ourselves, before there is a handshake, as whole records. */
export const tlsAlerts = {
  decodeError: alert(50),
  internalError: alert(80),
  unrecognizedName: alert(112),
} as const;

function alert(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description]);
}
