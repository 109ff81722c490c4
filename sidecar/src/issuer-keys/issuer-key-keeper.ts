import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { FactUpdate } from '@remora/policy-kit/facts';
import type { FetchedKeys } from '@remora/policy-jwt/wire';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { CoalescedWriter } from '../config/coalesced-writer.ts';
import type { HelperClient } from '../helpers/helper-client.ts';
import type { Log } from '../telemetry/log.ts';
import type { IssuerKeyDisk, StoredKeys } from './issuer-key-disk.ts';
import { KeySourceKeeper, type KeyChange } from './key-source-keeper.ts';
import { keySources } from './key-sources.ts';

export interface IssuerKeyKeeperOptions {
  readonly useFacts: (update: FactUpdate) => Promise<void>;
  readonly client: HelperClient;
  readonly disk: IssuerKeyDisk;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** For the control plane: kind, sentence, attributes. */
  readonly onEvent?: (kind: string, message: string, attributes: Readonly<Record<string, string>>) => void;
  /** Something of `warming` has changed. */
  readonly onWarming?: () => void;
}

/** Keys of one place as they are now: for status and metrics. */
export interface IssuerKeyStatus {
  readonly issuer: string;
  /** Name of the source. */
  readonly name: string;
  readonly ageSeconds: number | null;
  readonly usable: boolean;
  /** Tries in a row that failed. */
  readonly failures: number;
  readonly problem: string | null;
}

/**
 * Keys of the issuers that the enforced snapshot names: fetches them before they are needed, keeps them fresh, on the disk and in the data threads. Requests never
 * wait for it, but for those whose token names a key that nobody has seen.
 */
export class IssuerKeyKeeper {
  readonly #options: IssuerKeyKeeperOptions;
  readonly #sources = new Map<string, KeySourceKeeper>();
  readonly #writer: CoalescedWriter<readonly StoredKeys[]>;
  #stored = new Map<string, StoredKeys>();
  #warming = '';

  constructor(options: IssuerKeyKeeperOptions) {
    this.#options = options;
    this.#writer = new CoalescedWriter({ write: (keys) => options.disk.write(keys), timers: options.timers, intervalMs: writeEveryMs });
  }

  /** Reads what the disk has; it is used as soon as a snapshot names it. */
  async restore(): Promise<void> {
    const { keys, problem } = await this.#options.disk.load();
    if (problem !== '') this.#options.log.error('stored keys of issuers cannot be used', { cause: problem });
    this.#stored = new Map(keys.map((one) => [one.name, one]));
  }

  /** Before a swap: begins to fetch what the next snapshot names, and waits a moment for it. Never a reason not to swap. */
  async reach(next: Snapshot): Promise<null> {
    const sources = keySources(next);
    const begun = await this.#begin(sources);
    if (begun.length === 0) return null;
    const patience = Promise.withResolvers<void>();
    const timer = this.#options.timers.after(reachPatienceMs, () => patience.resolve());
    await Promise.race([Promise.all(begun.map((one) => one.firstTry())), patience.promise]);
    timer.cancel();
    return null;
  }

  /** The snapshot is enforced: what only an earlier one named is forgotten. */
  async follow(snapshot: Snapshot): Promise<void> {
    const sources = keySources(snapshot);
    const gone = [...this.#sources.keys()].filter((name) => !sources.has(name));
    for (const name of gone) {
      this.#sources.get(name)?.close();
      this.#sources.delete(name);
      this.#stored.delete(name);
    }
    if (gone.length > 0) {
      this.#write();
      await this.#options.useFacts({ kind: 'jwks', full: false, facts: new Map(gone.map((name) => [name, null])) });
    }
    await this.#begin(sources);
    this.#tellWarming();
  }

  /** A token names a key that is not among those of this source. */
  async refetch(name: string): Promise<boolean> {
    return (await this.#sources.get(name)?.refetch()) ?? false;
  }

  /** Issuers whose keys have not come yet. */
  get warming(): readonly string[] {
    return [...this.#sources.values()].filter(({ ageMs }) => ageMs === null).map(({ issuer }) => `keys of ${issuer}`).slice(0, listedMax);
  }

  /** By issuer; of several places the oldest. */
  get keyAgeSeconds(): ReadonlyMap<string, number> {
    const ages = new Map<string, number>();
    for (const { issuer, ageMs } of [...this.#sources.values()].slice(0, listedMax)) if (ageMs !== null) ages.set(issuer, Math.max(ages.get(issuer) ?? 0, Math.floor(ageMs / 1000)));
    return ages;
  }

  get status(): readonly IssuerKeyStatus[] {
    return [...this.#sources].map(([name, { issuer, ageMs, usable, failures, problem }]) => ({
      issuer, name, ageSeconds: ageMs === null ? null : Math.floor(ageMs / 1000), usable, failures, problem: problem === null ? null : `${problem.code}: ${problem.message}`,
    }));
  }

  async close(): Promise<void> {
    for (const source of this.#sources.values()) source.close();
    await this.#writer.flush();
  }

  /** Starts what is not there yet, with what the disk has of it. Answers those that were started. */
  async #begin(sources: ReadonlyMap<string, FetchedKeys>): Promise<readonly KeySourceKeeper[]> {
    const begun: KeySourceKeeper[] = [];
    for (const [name, source] of sources) {
      const known = this.#sources.get(name);
      if (known !== undefined) {
        known.follow(source);
        continue;
      }
      const keeper = this.#make(name, source);
      this.#sources.set(name, keeper);
      begun.push(keeper);
      const stored = this.#stored.get(name);
      if (stored !== undefined) await keeper.restore(stored.body, stored.fetchedAtMs);
      keeper.start();
    }
    return begun;
  }

  #make(name: string, source: FetchedKeys): KeySourceKeeper {
    const { client, clock, timers, random, useFacts } = this.#options;
    return new KeySourceKeeper(source, {
      client, clock, timers, random,
      use: (body) => useFacts({ kind: 'jwks', full: false, facts: new Map([[name, body]]) }),
      onChange: (change) => this.#onChange(name, change),
    });
  }

  #onChange(name: string, change: KeyChange): void {
    const source = this.#sources.get(name);
    if (source === undefined) return;
    const { log, onEvent } = this.#options;
    const { issuer, problem, failures } = source;
    if (change === 'fetched') {
      const before = this.#stored.get(name);
      const { stored } = source;
      if (stored !== null) this.#stored.set(name, { name, ...stored });
      if (before === undefined || Buffer.compare(before.body, stored?.body ?? new Uint8Array(0)) !== 0) {
        log.info('keys of an issuer are in use', { issuer });
        onEvent?.('issuer-keys-changed', `the keys of ${issuer} are new`, { issuer });
      }
      this.#write();
    } else if (change === 'expired') {
      log.error('keys of an issuer are too old to be believed', { issuer, cause: problem?.message ?? '' });
      onEvent?.('issuer-keys-expired', `the keys of ${issuer} are too old to be believed: ${problem?.message ?? ''}`, { issuer });
    } else {
      // Once for each outage; the tries that follow are for who looks closely.
      log[failures === 1 ? 'warn' : 'debug']('keys of an issuer cannot be fetched', { issuer, cause: problem?.message ?? '', code: problem?.code ?? '' });
      if (failures === 1) onEvent?.('issuer-unreachable', `the keys of ${issuer} cannot be fetched: ${problem?.message ?? ''}`, { issuer, code: problem?.code ?? '' });
    }
    this.#tellWarming();
  }

  #write(): void {
    this.#writer.put([...this.#stored.values()]);
  }

  #tellWarming(): void {
    const warming = this.warming.join('\n');
    if (warming === this.#warming) return;
    this.#warming = warming;
    this.#options.onWarming?.();
  }
}

const writeEveryMs = 1_000;
/** A swap waits so long for keys that are new with it, at most: then its requests find them there. */
const reachPatienceMs = 1_000;
/** Issuers named in a heartbeat. */
const listedMax = 64;
