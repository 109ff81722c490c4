import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { AuditLog } from '../audit/audit-log.ts';
import type { AuthenticationReason } from './authentication-error.ts';
import type { AuthenticationEvents } from './authenticator.ts';
import type { ForbiddenError } from './forbidden-error.ts';
import { networkOf } from './failure-limiter.ts';
import { actorOf } from './principal.ts';
import type { Principal } from './principal.ts';

/** A token is noted at its first use from an address in this time. */
const useEveryMs = 3_600_000;
/** Failures of one kind from one address are one entry in this time, with their number. */
const failuresEveryMs = 60_000;
/** Pairs of token and address, and of reason and address, that are remembered. */
const pairsMax = 10_000;
const failuresMax = 1_000;

interface Failures {
  readonly reason: AuthenticationReason;
  readonly address: string;
  readonly token: string;
  count: number;
}

/** Puts what happens at the door into the audit log, and counts it for metrics. An attacker cannot make either large. */
export class AuthenticationAudit implements AuthenticationEvents {
  readonly counts = new Map<string, number>();
  readonly #log: AuditLog;
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #uses = new Map<string, number>();
  readonly #failures = new Map<string, Failures>();
  readonly #forbidden = new Map<string, number>();
  #others = 0;

  constructor(deps: { readonly log: AuditLog; readonly clock: Clock; readonly timers: Timers }) {
    this.#log = deps.log;
    this.#clock = deps.clock;
    this.#timer = deps.timers.every(failuresEveryMs, () => this.#tellFailures());
  }

  admitted(principal: Principal, address: string): void {
    this.#count('ok');
    const key = `${principal.kind}\n${principal.id}\n${networkOf(address)}`;
    const nowMs = this.#clock.monotonicMs();
    const last = this.#uses.get(key);
    if (last !== undefined && nowMs - last < useEveryMs) return;
    this.#uses.delete(key);
    this.#uses.set(key, nowMs);
    if (this.#uses.size > pairsMax) this.#uses.delete(this.#uses.keys().next().value ?? '');
    this.#log.later({ action: 'api.use', actor: actorOf(principal), from: address, outcome: 'done', what: {} });
  }

  refused(reason: AuthenticationReason, address: string, token: string): void {
    this.#count(reason);
    // Nothing was tried: a browser, a probe, a command before its login.
    if (reason === 'missing') return;
    const key = `${reason}\n${networkOf(address)}\n${token}`;
    const known = this.#failures.get(key);
    if (known) {
      known.count += 1;
      return;
    }
    if (this.#failures.size >= failuresMax) {
      this.#others += 1;
      return;
    }
    // The first one at once, the others with their number when the minute is over.
    this.#failures.set(key, { reason, address, token, count: 0 });
    this.#log.later(failureNote({ reason, address, token, count: 1 }));
  }

  /** Somebody known asked for what they may not have: noted once a minute per principal and operation. */
  forbidden({ error, operation, address }: { readonly error: ForbiddenError; readonly operation: string; readonly address: string }): void {
    this.#count('forbidden');
    const { principal, facts } = error;
    const key = `${principal.kind}\n${principal.id}\n${operation}`;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#forbidden.get(key) ?? Number.NEGATIVE_INFINITY) < failuresEveryMs) return;
    this.#forbidden.delete(key);
    this.#forbidden.set(key, nowMs);
    if (this.#forbidden.size > pairsMax) this.#forbidden.delete(this.#forbidden.keys().next().value ?? '');
    this.#log.later({ action: operation, actor: actorOf(principal), from: address, outcome: 'refused', what: facts });
  }

  close(): void {
    this.#timer.cancel();
    this.#tellFailures();
  }

  #tellFailures(): void {
    for (const failures of this.#failures.values()) if (failures.count > 0) this.#log.later(failureNote(failures));
    this.#failures.clear();
    if (this.#others > 0) this.#log.later({ action: 'api.refuse', actor: { kind: 'unknown' }, outcome: 'refused', what: { reason: 'others', count: this.#others } });
    this.#others = 0;
  }

  #count(result: string): void {
    this.counts.set(result, (this.counts.get(result) ?? 0) + 1);
  }
}

function failureNote({ reason, address, token, count }: Failures): Parameters<AuditLog['later']>[0] {
  return { action: 'api.refuse', actor: { kind: 'unknown', ...(token === '' ? {} : { claims: token }) }, from: address, outcome: 'refused', what: { reason, count } };
}
