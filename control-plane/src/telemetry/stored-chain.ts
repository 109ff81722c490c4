import type { DecidingField as WireField, FailureChain, HealthState } from '@remora/proto/gen/remora/telemetry/v1/telemetry';

/** What a request that failed went through at one hop, as its sidecar says it. Times are ISO texts; null where there is none. */
export interface StoredChain {
  readonly startedAt: string;
  readonly tries: readonly StoredTry[];
  readonly triesLeftOut: number;
  /** Why there was no attempt after the last. */
  readonly noFurther: DecidingField | null;
  readonly hosts: {
    readonly known: number;
    readonly usable: number;
    readonly leftOut: readonly { readonly host: string; readonly endpoint: string; readonly state: string; readonly until: string | null }[];
    readonly leftOutMore: number;
  } | null;
  /** What answered in place of the destination. */
  readonly fallback: string;
}

export interface StoredTry extends DecidingField {
  readonly attempt: number;
  readonly endpoint: string;
  readonly host: string;
  /** Code of a reason, or `answered`. */
  readonly outcome: string;
  readonly status: number;
  readonly grpcStatus: number;
  readonly durationMs: number;
}

/** Empty texts where nothing of it had a part. */
export interface DecidingField {
  readonly kind: string;
  /** Within the kind's section. */
  readonly pointer: string;
  readonly policy: string;
  readonly detail: string;
}

/** What the sidecar held against the destination at that time. */
export interface StoredTrouble extends DecidingField {
  readonly event: string;
  readonly service: string;
  /** '' where it is about all hosts. */
  readonly host: string;
  readonly since: string;
  readonly until: string | null;
}

/** Texts of sidecars are input: bounded here. null: the request never came as far as a call. */
export function storedChain(chain: FailureChain | undefined): StoredChain | null {
  if (chain === undefined) return null;
  const { hosts } = chain;
  return {
    startedAt: timeText(chain.startedAtMs),
    tries: chain.tries.slice(0, triesMax).map(({ limit, ...one }) => ({
      ...one, endpoint: one.endpoint.slice(0, nameMax), host: one.host.slice(0, nameMax), outcome: one.outcome.slice(0, 128), ...field(limit),
    })),
    triesLeftOut: chain.triesLeftOut,
    noFurther: chain.noFurther === undefined ? null : field(chain.noFurther),
    hosts: hosts === undefined ? null : {
      known: hosts.known, usable: hosts.usable, leftOutMore: hosts.leftOutMore,
      leftOut: hosts.leftOut.slice(0, listMax).map(({ host, endpoint, state, untilMs }) => ({ host: host.slice(0, nameMax), endpoint: endpoint.slice(0, nameMax), state: state.slice(0, 64), until: untilMs === 0n ? null : timeText(untilMs) })),
    },
    fallback: chain.fallback.slice(0, 256),
  };
}

export function storedTroubles(held: readonly HealthState[]): StoredTrouble[] {
  return held.slice(0, listMax).map((state) => ({
    ...field(state), event: state.event.slice(0, 64), service: state.service.slice(0, 253), host: state.host.slice(0, nameMax),
    since: timeText(state.sinceMs), until: state.untilMs === 0n ? null : timeText(state.untilMs),
  }));
}

function field(from: WireField | undefined): DecidingField {
  if (from === undefined) return nobody;
  return { kind: from.kind.slice(0, 64), pointer: from.pointer.slice(0, 256), policy: from.policy.slice(0, 1_024), detail: from.detail.slice(0, 512) };
}

function timeText(atMs: bigint): string {
  return new Date(Math.min(Number(atMs), 8.64e15)).toISOString();
}

const nobody: DecidingField = Object.freeze({ kind: '', pointer: '', policy: '', detail: '' });
export const triesMax = 8;
export const listMax = 16;
const nameMax = 300;
