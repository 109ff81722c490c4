import type { CallerCount } from '@remora/proto/gen/remora/telemetry/v1/telemetry';

/** Who called a port of a service, as the service's own sidecars saw it. */
export interface CallerTraffic {
  readonly port: string;
  /** Showed a certificate of the mesh. */
  readonly mtls: boolean;
  /** `service/web`, or a whole SPIFFE id of another trust domain; without a certificate an address. */
  readonly peer: string;
  /** Requests and TCP connections since the moment that was asked for, counted by whole hours. */
  readonly requests: number;
  /** Unix milliseconds: when it was reported last that it had called. */
  readonly lastAtMs: number;
}

interface Row {
  readonly port: string;
  readonly mtls: boolean;
  readonly peer: string;
  /** By hour since 1970, the oldest first. */
  readonly hours: Map<number, number>;
  lastAtMs: number;
}

const hourMs = 3_600_000;
const hoursKept = 25;
const rowsPerServiceMax = 1_024;
const rowsMax = 50_000;
const textMax = 300;

/**
 * Callers of the last 24 hours, by hour. At most 1,024 for each service and 50,000 in all: who comes beyond that is counted in `dropped` and not listed, until
 * others have been silent for a day.
 */
export class CallerHistory {
  readonly #services = new Map<string, Map<string, Row>>();
  #rows = 0;
  /** Requests of callers that found no room. */
  dropped = 0;

  /** Takes one more count of a caller, already as a difference. */
  add(service: string, { port, mtls, peer }: Pick<CallerCount, 'port' | 'mtls' | 'peer'>, requests: number, nowMs: number): void {
    if (requests <= 0) return;
    const rows = this.#services.get(service) ?? new Map<string, Row>();
    const key = callerKey({ port, mtls, peer });
    let row = rows.get(key);
    if (!row) {
      if (rows.size >= rowsPerServiceMax || this.#rows >= rowsMax) {
        this.dropped += requests;
        return;
      }
      row = { port: port.slice(0, textMax), mtls, peer: peer.slice(0, textMax), hours: new Map(), lastAtMs: 0 };
      rows.set(key, row);
      this.#rows++;
      this.#services.set(service, rows);
    }
    const hour = Math.floor(nowMs / hourMs);
    row.hours.set(hour, (row.hours.get(hour) ?? 0) + requests);
    row.lastAtMs = nowMs;
  }

  of(service: string, sinceMs: number): CallerTraffic[] {
    const from = Math.floor(sinceMs / hourMs);
    return [...this.#services.get(service)?.values() ?? []].flatMap(({ port, mtls, peer, hours, lastAtMs }): CallerTraffic[] => {
      let requests = 0;
      for (const [hour, count] of hours) if (hour >= from) requests += count;
      return requests === 0 || lastAtMs < sinceMs ? [] : [{ port, mtls, peer, requests, lastAtMs }];
    }).sort((a, b) => b.requests - a.requests || (callerKey(a) < callerKey(b) ? -1 : 1));
  }

  /** What is older than a day goes. */
  sweep(nowMs: number): void {
    const oldest = Math.floor(nowMs / hourMs) - hoursKept + 1;
    for (const [service, rows] of this.#services) {
      for (const [key, row] of rows) {
        for (const hour of row.hours.keys()) if (hour < oldest) row.hours.delete(hour);
        if (row.hours.size > 0) continue;
        rows.delete(key);
        this.#rows--;
      }
      if (rows.size === 0) this.#services.delete(service);
    }
  }
}

export function callerKey({ port, mtls, peer }: Pick<CallerCount, 'port' | 'mtls' | 'peer'>): string {
  return `${mtls ? 'm' : 'p'}${port}/${peer}`;
}
