import { compareVersions, formatVersion, type Version } from '@remora/core/version';
import type { SubjectKey } from '@remora/core/subject';
import type { Enforced } from './sim-sidecar.ts';

/** What holds at every swap of every sidecar, whatever fails (faults.md, simulator). */
export class Invariants {
  readonly violations: string[] = [];
  enforcements = 0;
  /** Every content ever committed, with the oldest version it had. */
  readonly #committed = new Map<SubjectKey, Map<string, Version>>();
  readonly #highest = new Map<string, Enforced>();

  committed(subject: SubjectKey, hash: string, version: Version): void {
    const hashes = this.#committed.get(subject) ?? new Map<string, Version>();
    if (!hashes.has(hash)) hashes.set(hash, version);
    this.#committed.set(subject, hashes);
  }

  enforced(subject: SubjectKey, enforced: Enforced): void {
    this.enforcements += 1;
    const { node, hash, version } = enforced;
    const since = this.#committed.get(subject)?.get(hash);
    if (!since) this.violations.push(`${node} enforces ${hash.slice(0, 8)}, which was never committed`);
    else if (compareVersions(since, version) > 0) this.violations.push(`${node} enforces ${hash.slice(0, 8)} as ${formatVersion(version)}, before it was committed`);
    const before = this.#highest.get(node);
    if (before && before.incarnation === enforced.incarnation && compareVersions(version, before.version) < 0) {
      this.violations.push(`${node} went back from ${formatVersion(before.version)} to ${formatVersion(version)}`);
    }
    this.#highest.set(node, enforced);
  }
}
