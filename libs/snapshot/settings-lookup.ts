import { noSettings, type EffectiveSettings } from './effective-settings.ts';
import type { FieldCheck } from './field-check.ts';
import type { SnapshotError, SnapshotErrors } from './snapshot-error.ts';

type BareError = Omit<SnapshotError, 'resource'>;

/**
 * Settings by hash while a candidate is decoded. What is wrong with settings is reported at the first place that uses
 * them: authors know places, not hashes.
 */
export class SettingsLookup {
  readonly #decoded = new Map<string, EffectiveSettings>();
  readonly #wrong = new Map<string, { readonly errors: readonly BareError[]; readonly users: string[]; userCount: number }>();

  put(hash: string, settings: EffectiveSettings): void {
    this.#decoded.set(hash, settings);
  }

  putWrong(hash: string, errors: readonly BareError[]): void {
    this.#wrong.set(hash, { errors, users: [], userCount: 0 });
  }

  all(): ReadonlyMap<string, EffectiveSettings> {
    return this.#decoded;
  }

  /** The settings a resource refers to; empty bytes mean none. Hashes the manifest lacks are errors of the resource. */
  find(hashBytes: Buffer, check: FieldCheck): EffectiveSettings {
    if (hashBytes.length === 0) return noSettings;
    const hash = hashBytes.toString('hex');
    const found = this.#decoded.get(hash);
    if (found) return found;
    const wrong = this.#wrong.get(hash);
    if (wrong) {
      wrong.userCount++;
      if (wrong.users.length === 0) wrong.users.push(check.resource);
    } else {
      check.fail('', 'missing-resource', `refers to settings ${hash.slice(0, 12)} that the manifest does not list`);
    }
    return noSettings;
  }

  reportTo(errors: SnapshotErrors): void {
    for (const [hash, { errors: found, users, userCount }] of this.#wrong) {
      const resource = users[0] ?? `settings ${hash.slice(0, 12)}`;
      const also = userCount > 1 ? ` (in ${userCount} places with the same settings)` : '';
      for (const error of found) errors.add({ ...error, resource, message: error.message + also });
    }
  }
}
