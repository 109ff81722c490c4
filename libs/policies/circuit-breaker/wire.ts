import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, decodeMessage, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { CircuitBreaker, type FailOn, type Machine, type Thresholds } from './gen/circuit-breaker.ts';

export interface CircuitBreakerSettings {
  readonly thresholds: ThresholdSettings;
  /** Null: nothing opens by itself. */
  readonly machine: MachineSettings | null;
}

/** What may be under way from one caller to one destination, over all its threads. */
export interface ThresholdSettings {
  readonly connections: number;
  /** Calls that wait for a connection. */
  readonly pending: number;
  /** Attempts from their beginning to the end of their answer. */
  readonly requests: number;
  /** Those of them that are no first attempts. */
  readonly retries: number;
}

/** Milliseconds; shares from 0 to 1. A detector of 0 is off. */
export interface MachineSettings {
  readonly consecutiveFailures: number;
  readonly failureRate: number;
  readonly slowCallRate: number;
  readonly slowCallMs: number;
  /** Exactly one of the two windows is not 0. */
  readonly windowCalls: number;
  readonly windowMs: number;
  readonly minimumCalls: number;
  readonly failOn: FailOnSettings;
  readonly openBaseMs: number;
  readonly openMaxMs: number;
  /** An opening is longer by up to this share. */
  readonly openJitter: number;
  /** Probes that may be under way at once. */
  readonly probes: number;
  /** Probes that must succeed, without one that fails, until it closes. */
  readonly successes: number;
  /** Probes without an end after this time are given up, and others let out. */
  readonly probePatienceMs: number;
}

export interface FailOnSettings {
  readonly connectFailure: boolean;
  readonly reset: boolean;
  readonly refusedStream: boolean;
  readonly timeout: boolean;
  readonly serverErrors: boolean;
  readonly statuses: ReadonlySet<number>;
  readonly grpcStatuses: ReadonlySet<number>;
}

export const circuitBreakerWire = { name: 'circuitBreaker', format: 1, decode: decodeCircuitBreaker } as const;

const countMax = 1_000_000;
const hourMs = 3_600_000;

function decodeCircuitBreaker(bytes: Uint8Array): CircuitBreakerSettings {
  const { thresholds, machine } = decodeMessage(CircuitBreaker, bytes);
  if (thresholds === undefined) throw new WireError('/thresholds', 'missing-field', 'there are no thresholds');
  return Object.freeze({ thresholds: decodeThresholds(thresholds), machine: machine === undefined ? null : decodeMachine(machine) });
}

function decodeThresholds(thresholds: Thresholds): ThresholdSettings {
  return Object.freeze({
    connections: wholeNumber(thresholds.connections, '/thresholds/connections', 1, countMax),
    pending: wholeNumber(thresholds.pending, '/thresholds/pending', 0, countMax),
    requests: wholeNumber(thresholds.requests, '/thresholds/requests', 1, countMax),
    retries: wholeNumber(thresholds.retries, '/thresholds/retries', 0, countMax),
  });
}

function decodeMachine(machine: Machine): MachineSettings {
  if (machine.failOn === undefined) throw new WireError('/failOn', 'missing-field', 'it is not said what fails');
  if ((machine.windowCalls === 0) === (machine.windowMs === 0)) throw new WireError('/window', 'invalid-value', 'a window is of calls or of time');
  const openBaseMs = wholeNumber(machine.openBaseMs, '/open/base', 100, hourMs);
  return Object.freeze({
    consecutiveFailures: wholeNumber(machine.consecutiveFailures, '/consecutiveFailures', 0, 1000),
    failureRate: realNumber(machine.failureRate, '/failureRate', 0, 1),
    slowCallRate: realNumber(machine.slowCallRate, '/slowCallRate', 0, 1),
    slowCallMs: wholeNumber(machine.slowCallMs, '/slowCall', 1, hourMs),
    windowCalls: wholeNumber(machine.windowCalls, '/window', 0, 10_000),
    windowMs: machine.windowMs === 0 ? 0 : wholeNumber(machine.windowMs, '/window', 1000, hourMs),
    minimumCalls: wholeNumber(machine.minimumCalls, '/minimumCalls', 1, countMax),
    failOn: decodeFailOn(machine.failOn),
    openBaseMs,
    openMaxMs: wholeNumber(machine.openMaxMs, '/open/max', openBaseMs, 24 * hourMs),
    openJitter: realNumber(machine.openJitter, '/open/jitter', 0, 1),
    probes: wholeNumber(machine.probes, '/halfOpen/probes', 1, 100),
    successes: wholeNumber(machine.successes, '/halfOpen/successes', 1, 1000),
    probePatienceMs: wholeNumber(machine.probePatienceMs, '/halfOpen/patience', 100, hourMs),
  });
}

function decodeFailOn({ statuses, grpcStatuses, connectFailure, reset, refusedStream, timeout, serverErrors }: FailOn): FailOnSettings {
  return Object.freeze({
    connectFailure, reset, refusedStream, timeout, serverErrors,
    statuses: new Set(boundedList(statuses, '/failOn', 200).map((status) => wholeNumber(status, '/failOn', 400, 599))),
    grpcStatuses: new Set(boundedList(grpcStatuses, '/failOn', 16).map((code) => wholeNumber(code, '/failOn', 1, 16))),
  });
}
