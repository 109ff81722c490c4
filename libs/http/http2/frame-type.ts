/** Frame types (RFC 9113 section 6) that are looked at; all others are ignored. */
export const frameType = {
  data: 0, headers: 1, priority: 2, reset: 3, settings: 4, pushPromise: 5, ping: 6, goAway: 7, windowUpdate: 8, continuation: 9,
} as const;

/** Flags, each of the frames that have it. */
export const frameFlag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const frameHeaderBytes = 9;
/** Every peer takes frames of this payload (RFC 9113 section 4.2). */
export const frameBytesMin = 16_384;
export const windowMax = 0x7fff_ffff;
export const streamIdMax = 0x7fff_ffff;
