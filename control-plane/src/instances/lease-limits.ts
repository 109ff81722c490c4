/** Times and bounds of instance leases (design.md section 4). */
export interface LeaseLimits {
  /** How long a lease goes on after its stream ended. */
  readonly restMs: number;
  /** Nothing expires for this long after a start. */
  readonly graceMs: number;
  /** A sweep that comes this much late means that this process stood still: all leases get that time back. */
  readonly stallMs: number;
  /** Expiries of one service within this time count as "at once". */
  readonly windowMs: number;
  /** Share of a service's instances above which those that expire at once become suspect. */
  readonly expiringShareMax: number;
  /** How long a suspect instance is kept. */
  readonly suspectForMs: number;
  /** Changes within this time after one are announced together. */
  readonly coalesceMs: number;
  readonly instancesPerServiceMax: number;
}

export const defaultLeaseLimits: LeaseLimits = {
  restMs: 10_000,
  graceMs: 30_000,
  stallMs: 3_000,
  windowMs: 30_000,
  expiringShareMax: 0.5,
  suspectForMs: 600_000,
  coalesceMs: 100,
  instancesPerServiceMax: 10_000,
};
