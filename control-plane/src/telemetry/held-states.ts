import type { HealthState } from '@remora/proto/gen/remora/telemetry/v1/telemetry';

/** Something that one sidecar holds against a destination, one of its hosts, or its own app. */
export interface HeldState {
  readonly nodeId: string;
  /** `service/web`. */
  readonly subject: string;
  readonly kind: string;
  /** `ejected`, `unhealthy`, `opened` … */
  readonly event: string;
  readonly service: string;
  /** '' where it is about all hosts. */
  readonly host: string;
  readonly pointer: string;
  /** '' where a default decided. */
  readonly policy: string;
  readonly detail: string;
  readonly since: string;
  /** null: it does not end by itself. */
  readonly until: string | null;
}

interface Reported {
  readonly states: readonly HeldState[];
  readonly atMs: number;
}

/**
 * What sidecars said last that they hold against others. A sidecar that reports no more counts no more: after a while nobody knows what it holds. At most
 * 1,024 states of one sidecar and 100,000 of all; who reports beyond that is left out, and counted.
 */
export class HeldStates {
  readonly #byNode = new Map<string, Reported>();
  #size = 0;
  /** States that a bound took, here or in the sidecars. */
  leftOut = 0;

  take(nodeId: string, subject: string, reported: readonly HealthState[], nowMs: number): void {
    this.forget(nodeId);
    const room = Math.max(0, Math.min(perNodeMax, statesMax - this.#size));
    this.leftOut += Math.max(0, reported.length - room);
    if (reported.length === 0 || room === 0) return;
    const states = reported.slice(0, room).map((state) => heldState(nodeId, subject, state));
    this.#byNode.set(nodeId, { states, atMs: nowMs });
    this.#size += states.length;
  }

  forget(nodeId: string): void {
    this.#size -= this.#byNode.get(nodeId)?.states.length ?? 0;
    this.#byNode.delete(nodeId);
  }

  /** What holds at `wallMs`, by those who reported since `sinceMs`; of one service, or of all. */
  current({ service, sinceMs, wallMs }: { readonly service?: string; readonly sinceMs: number; readonly wallMs: number }): HeldState[] {
    const found: HeldState[] = [];
    for (const { states, atMs } of this.#byNode.values()) {
      if (atMs < sinceMs) continue;
      for (const state of states) {
        if ((service === undefined || state.service === service) && (state.until === null || Date.parse(state.until) > wallMs)) found.push(state);
      }
    }
    return found;
  }
}

/** Texts of sidecars are input. */
function heldState(nodeId: string, subject: string, state: HealthState): HeldState {
  return Object.freeze({
    nodeId, subject, kind: state.kind.slice(0, 64), event: state.event.slice(0, 64), service: state.service.slice(0, 253), host: state.host.slice(0, 300),
    pointer: state.pointer.slice(0, 256), policy: state.policy.slice(0, 253), detail: state.detail.slice(0, 512),
    since: timeText(state.sinceMs), until: state.untilMs === 0n ? null : timeText(state.untilMs),
  });
}

function timeText(atMs: bigint): string {
  return new Date(Math.min(Number(atMs), 8.64e15)).toISOString();
}

const perNodeMax = 1_024;
const statesMax = 100_000;
