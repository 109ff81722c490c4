import type { CallLimit } from '@remora/policy-kit/exchange';
import { hostHealth } from '@remora/policy-kit/host-states';
import type { TryNote } from '@remora/policy-kit/try-note';
import { policiesOfField } from '@remora/snapshot/effective-settings';
import type { ExchangeRun } from '../pipeline/exchange-run.ts';
import type { ClusterHost } from '../upstream/cluster-host.ts';
import type { TargetHosts } from '../upstream/target-hosts.ts';

/** What a request that failed went through at its caller: which hosts were tried, why no other was, and which ones were left out. */
export interface FailureChain {
  /** Unix milliseconds at which the request came. */
  readonly startedAtMs: number;
  readonly tries: readonly FailedTry[];
  /** Attempts between the first ones and the last that are not among `tries`. */
  readonly triesLeftOut: number;
  /** Why there was no attempt after the last; null where this side makes none. */
  readonly noFurther: DecidingField | null;
  /** null: it was for no destination, or none with hosts. */
  readonly hosts: HostCensus | null;
  /** What answered in place of the destination; '' where nothing did. */
  readonly fallback: string;
}

/** As `TryNote`, with the policy that set the limit. */
export interface FailedTry extends Omit<TryNote, 'limit'>, DecidingField {}

/** Empty texts: no policy had a part in it. */
export interface DecidingField {
  readonly kind: string;
  readonly pointer: string;
  readonly policy: string;
  readonly detail: string;
}

/** The hosts of the target at the end of the request. */
export interface HostCensus {
  readonly known: number;
  readonly usable: number;
  /** At most `namedMax`. */
  readonly leftOut: readonly LeftOutHost[];
  readonly leftOutMore: number;
}

export interface LeftOutHost {
  readonly host: string;
  readonly endpoint: string;
  /** `taken-out` by hand; `passed-over`: no connection could be made lately. */
  readonly state: 'ejected' | 'unhealthy' | 'taken-out' | 'passed-over' | 'draining';
  /** Unix milliseconds; 0: until somebody, or a check, says otherwise. */
  readonly untilMs: number;
}

/** null where the request never came as far as a call. `wallMs` and `nowMs`: the same instant by both clocks. */
export function failureChain(run: ExchangeRun, wallMs: number, nowMs: number): FailureChain | null {
  const { tries, target } = run;
  if (tries === null && target === null) return null;
  return {
    startedAtMs: run.startedWallMs,
    tries: (tries ?? []).map((note) => failedTry(run, note)),
    triesLeftOut: run.triesLeftOut,
    noFurther: run.noFurtherTry === null ? null : decidingField(run, run.noFurtherTry),
    hosts: target === null || run.pin.side === 'inbound' ? null : census(target.hosts, wallMs, nowMs),
    fallback: run.fallback.slice(0, textMax),
  };
}

function failedTry(run: ExchangeRun, { limit, ...note }: TryNote): FailedTry {
  return { ...note, durationMs: Math.round(note.durationMs * 100) / 100, ...(limit === null ? nobody : decidingField(run, limit)) };
}

function decidingField(run: ExchangeRun, { kind, pointer, detail }: CallLimit): DecidingField {
  const named = kind ?? (pointer === '' ? '' : 'timeout');
  return { kind: named, pointer, policy: policyOf(run, named, pointer), detail: detail.slice(0, textMax) };
}

function policyOf(run: ExchangeRun, kind: string, pointer: string): string {
  if (kind === '' || pointer === '' || run.caller === null) return '';
  const section = run.caller.settings.sections.find((one) => one.kind === kind);
  return section === undefined ? '' : policiesOfField(section.origins, pointer).join(', ');
}

/** Counted at most once in each moment, however many requests fail in it. */
function census(target: TargetHosts, wallMs: number, nowMs: number): HostCensus {
  const known = target.census;
  if (known !== null && nowMs - known.atMs < censusKeptMs) return known.census;
  const counted = countHosts(target, wallMs, nowMs);
  target.census = { atMs: nowMs, census: counted };
  return counted;
}

function countHosts({ hosts, states }: TargetHosts, wallMs: number, nowMs: number): HostCensus {
  const leftOut: LeftOutHost[] = [];
  let usable = 0;
  let more = 0;
  for (const host of hosts) {
    if (states.usable(host.slot, nowMs)) usable += 1;
    const one = leftOutAs(host, states, wallMs, nowMs);
    if (one === null) continue;
    if (leftOut.length < namedMax) leftOut.push(one);
    else more += 1;
  }
  return { known: hosts.length, usable, leftOut, leftOutMore: more };
}

function leftOutAs(host: ClusterHost, states: TargetHosts['states'], wallMs: number, nowMs: number): LeftOutHost | null {
  const as = (state: LeftOutHost['state'], until: number): LeftOutHost => ({
    host: host.address, endpoint: host.id, state, untilMs: Number.isFinite(until) && until > nowMs ? Math.round(wallMs + until - nowMs) : 0,
  });
  if (states.takenOutUntil(host.slot) > nowMs) return as('taken-out', states.takenOutUntil(host.slot));
  if (states.ejectedUntil(host.slot) > nowMs) return as('ejected', states.ejectedUntil(host.slot));
  if (states.health(host.slot) === hostHealth.unhealthy) return as('unhealthy', 0);
  if (host.downUntil > nowMs) return as('passed-over', host.downUntil);
  return host.draining ? as('draining', 0) : null;
}

const nobody: DecidingField = Object.freeze({ kind: '', pointer: '', policy: '', detail: '' });
const namedMax = 16;
const censusKeptMs = 2;
const textMax = 256;
