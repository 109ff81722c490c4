/**
 * Why a stream or connection was ended, as a stable name for logs and metrics. Bounded: labels may be made of them. Every budget and limit of
 * `Http2Limits` has its own.
 */
export type FailureReason = (typeof failureReasons)[number];

export const failureReasons = [
  // Said by the peer, or seen of it.
  'peer-reset', 'peer-go-away', 'peer-closed',
  // Framing and state (RFC 9113 sections 3 to 6).
  'preface', 'frame-size', 'frame-stream', 'frame-padding', 'unexpected-frame', 'stream-id', 'stream-closed', 'settings-value', 'window-overflow',
  'window-increment', 'flow-control', 'push', 'header-block-interrupted', 'self-dependency',
  // Heads and bodies (RFC 9113 section 8, RFC 7541).
  'compression', 'pseudo-header', 'field-name', 'field-value', 'connection-field', 'te-field', 'content-length', 'body-length', 'authority', 'path', 'method',
  'scheme', 'status', 'trailers', 'head-unwritable',
  // Limits.
  'head-too-large', 'too-many-fields', 'header-block-bytes', 'header-block-frames', 'header-block-time', 'streams-max', 'resets', 'control-frames',
  'window-updates', 'empty-data', 'output-queue', 'interim-heads', 'settings-timeout', 'stalled', 'keep-alive-timeout',
  // Ours.
  'cancelled', 'refused', 'going-away',
] as const;
