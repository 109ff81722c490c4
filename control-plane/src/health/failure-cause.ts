import type { StoredTrouble } from '../telemetry/stored-chain.ts';
import type { StoredRefusal } from '../telemetry/telemetry-hub.ts';

/** What decided at one hop, in words and as the field that a person would edit. */
export interface FailureCause {
  /** `3 of 3 hosts ejected`. */
  readonly what: string;
  /** The figures behind it: `consecutive-5xx, 5 of 5`; '' where there are none. */
  readonly figures: string;
  /** Since when it held; null where it is of the moment. */
  readonly since: string | null;
  /** '' where no policy kind had a part. */
  readonly kind: string;
  /** Within the kind's section. */
  readonly pointer: string;
  /** Set the field; '' for a default. */
  readonly policy: string;
}

/** Says it by what the sidecar held against the destination where that decided, else by the limit or policy that refused, else by how the last attempt ended. */
export function failureCause(refusal: StoredRefusal): FailureCause {
  return byHosts(refusal) ?? byBreaker(refusal) ?? byPolicy(refusal) ?? byLastTry(refusal);
}

/** Nobody could be asked. */
function byHosts({ reason, destination, chain, held }: StoredRefusal): FailureCause | null {
  const hosts = chain?.hosts ?? null;
  if (hosts === null || !noHosts.has(reason)) return null;
  if (hosts.known === 0) return { ...nobody, what: `no instance of ${destination} is known` };
  if (hosts.leftOut.length === 0) return null;
  const counts = new Map<string, number>();
  for (const { state } of hosts.leftOut) counts.set(state, (counts.get(state) ?? 0) + 1);
  const words = [...counts].sort(([, a], [, b]) => b - a).map(([state, count]) => `${count} of ${hosts.known} hosts ${state}`);
  const behind = held.find(({ host }) => hosts.leftOut.some((one) => one.host === host)) ?? null;
  return { ...ofTrouble(behind), what: `${words.join(', ')}${hosts.leftOutMore > 0 ? `, and ${hosts.leftOutMore} more` : ''}` };
}

function byBreaker({ reason, kind, pointer, policy, detail, held }: StoredRefusal): FailureCause | null {
  if (reason !== 'circuit-open') return null;
  // Without a field: somebody opened it, and no policy did.
  if (pointer === '') return { ...nobody, what: detail };
  const opened = held.find((state) => state.kind === 'circuitBreaker' && state.host === '') ?? null;
  if (opened === null) return { ...nobody, what: detail, kind, pointer, policy };
  return { ...ofTrouble(opened), what: `the breaker is ${opened.event === 'opened' ? 'open' : opened.event}`, ...(opened.policy === '' && { kind, pointer, policy }) };
}

function byPolicy({ reason, kind, pointer, policy, detail, held }: StoredRefusal): FailureCause | null {
  if (kind === '') return null;
  const behind = held.find((state) => state.kind === kind && state.host === '') ?? null;
  return { what: detail === '' ? reason : `${reason}: ${detail}`, figures: behind?.detail ?? '', since: behind?.since ?? null, kind, pointer, policy };
}

function byLastTry({ reason, detail, status, chain }: StoredRefusal): FailureCause {
  const last = chain?.tries.at(-1);
  const why = chain?.noFurther ?? null;
  if (last === undefined) return { ...nobody, what: [reason === '' ? `answered ${status}` : reason, detail].filter((part) => part !== '').join(': ') };
  const how = last.outcome === 'answered' ? `${last.host} answered ${answered(last)}` : `${last.outcome}${last.host === '' ? '' : ` at ${last.host}`} after ${Math.round(last.durationMs)} ms`;
  const limit = last.kind === '' ? why : last;
  return { ...nobody, what: [how, last.detail, why?.detail ?? ''].filter((part) => part !== '').join('; '), ...(limit !== null && { kind: limit.kind, pointer: limit.pointer, policy: limit.policy }) };
}

function answered({ status, grpcStatus }: { readonly status: number; readonly grpcStatus: number }): string {
  return grpcStatus > 0 ? `grpc-status ${grpcStatus}` : String(status);
}

function ofTrouble(held: StoredTrouble | null): FailureCause {
  return held === null ? nobody : { what: '', figures: held.detail, since: held.since, kind: held.kind, pointer: held.pointer, policy: held.policy };
}

const nobody: FailureCause = Object.freeze({ what: '', figures: '', since: null, kind: '', pointer: '', policy: '' });
const noHosts = new Set(['no-healthy-upstream', 'no-destination']);
