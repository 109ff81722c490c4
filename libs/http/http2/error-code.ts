/** Error codes of RST_STREAM and GOAWAY (RFC 9113 section 7). Unknown ones from a peer are treated as `internalError`. */
export const errorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

/** Any 32-bit number can come from a peer. */
export type ErrorCode = number;
