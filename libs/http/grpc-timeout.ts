/** Milliseconds of a `grpc-timeout` (gRPC over HTTP/2, `Timeout`: up to eight digits and a unit); null where it is not one. */
export function parseGrpcTimeoutMs(text: string): number | null {
  const digits = text.length - 1;
  const unit = unitMs(text.charCodeAt(digits));
  if (unit === 0 || digits < 1 || digits > 8) return null;
  let value = 0;
  for (let i = 0; i < digits; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return value * unit;
}

/**
 * At most eight digits, in the finest unit from milliseconds on that has room, rounded down, as deadlines only shrink; at least `1m`: what is over is
 * not sent on as unlimited.
 */
export function formatGrpcTimeout(ms: number): string {
  // Sums of instants are off by less than a microsecond.
  const whole = Math.max(1, Math.floor(ms + 0.001));
  if (whole < 1e8) return `${whole}m`;
  return whole < 1e11 ? `${Math.floor(whole / 1000)}S` : `${Math.min(99_999_999, Math.floor(whole / 3_600_000))}H`;
}

function unitMs(letter: number): number {
  switch (letter) {
    case 72: // H
      return 3_600_000;
    case 77: // M
      return 60_000;
    case 83: // S
      return 1000;
    case 109: // m
      return 1;
    case 117: // u
      return 0.001;
    case 110: // n
      return 0.000_001;
    default:
      return 0;
  }
}
