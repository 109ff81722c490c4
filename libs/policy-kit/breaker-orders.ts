/** What somebody has said about the breaker of one service, as its callers get it: fact kind `breakerOrders`, by service. */
export interface BreakerOrder {
  /** `open`: no caller sends anything to it until the end. `closed`: breakers are closed, and stay so until then. */
  readonly what: 'open' | 'closed';
  /** Unix milliseconds. */
  readonly untilMs: number;
  /** For whoever asks why. */
  readonly reason: string;
}

export const breakerOrdersKind = 'breakerOrders';
const reasonMax = 500;

export function encodeBreakerOrder({ what, untilMs, reason }: BreakerOrder): Uint8Array {
  return Buffer.from(JSON.stringify({ what, untilMs, reason }));
}

/** Null where it is no such message. */
export function decodeBreakerOrder(body: Uint8Array): BreakerOrder | null {
  try {
    const { what, untilMs, reason } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
    if ((what !== 'open' && what !== 'closed') || typeof untilMs !== 'number' || !Number.isFinite(untilMs) || typeof reason !== 'string' || reason.length > reasonMax) return null;
    return { what, untilMs, reason };
  } catch {
    return null;
  }
}
