/** What people have decided about hosts of one service, as its callers get it: fact kind `hostOrders`, by service. */
export interface HostOrders {
  /** Until when (Unix ms) the host at this address (`host:port`) is left out, whatever detectors say. */
  readonly takenOut: ReadonlyMap<string, number>;
  /** Ejections that detectors decided before this (Unix ms) are over. */
  readonly takenBack: ReadonlyMap<string, number>;
}

export const hostOrdersKind = 'hostOrders';

/** Orders of one service at most. */
export const hostOrdersMax = 256;

export function encodeHostOrders({ takenOut, takenBack }: HostOrders): Uint8Array {
  return Buffer.from(JSON.stringify({ takenOut: sorted(takenOut), takenBack: sorted(takenBack) }));
}

/** Null where it is no such message. */
export function decodeHostOrders(body: Uint8Array): HostOrders | null {
  try {
    const { takenOut, takenBack } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
    const [out, back] = [readTimes(takenOut), readTimes(takenBack)];
    return out === null || back === null ? null : { takenOut: out, takenBack: back };
  } catch {
    return null;
  }
}

function readTimes(value: unknown): ReadonlyMap<string, number> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value as Record<string, unknown>);
  if (entries.length > hostOrdersMax) return null;
  const times = new Map<string, number>();
  for (const [host, atMs] of entries) {
    if (typeof atMs !== 'number' || !Number.isFinite(atMs) || atMs <= 0 || host === '' || host.length > 300) return null;
    times.set(host, atMs);
  }
  return times;
}

/** The same orders are the same bytes. */
function sorted(times: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...times].sort(([a], [b]) => (a < b ? -1 : 1)));
}
