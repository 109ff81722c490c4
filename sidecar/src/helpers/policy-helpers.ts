import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { IssuerKeyDisk } from '../issuer-keys/issuer-key-disk.ts';
import { Introspector } from '../introspection/introspector.ts';
import { IssuerKeyKeeper, type IssuerKeyStatus } from '../issuer-keys/issuer-key-keeper.ts';
import type { Log } from '../telemetry/log.ts';
import type { DataPlane } from '../threads/data-plane.ts';
import { authQuestion } from '@remora/policy-external-auth/wire';
import { storeTopic } from '@remora/policy-kit/store/store-questions';
import { StoreKeeper } from '../stores/store-keeper.ts';
import { LoginClient } from '../login/login-client.ts';
import { ExternalAuthCaller } from './external-auth-caller.ts';
import type { HelperClient } from './helper-client.ts';

export interface PolicyHelpersOptions {
  readonly dataPlane: DataPlane;
  readonly client: HelperClient;
  readonly keyDisk: IssuerKeyDisk;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly onEvent: (kind: string, message: string, attributes: Readonly<Record<string, string>>) => void;
  readonly onWarming: () => void;
}

/** Answers questions of one topic. */
export type TopicHandler = (body: Uint8Array) => Promise<Uint8Array | null>;

/** What the control thread does for policies that need somebody outside: keeps keys of issuers, and answers what filters ask. */
export class PolicyHelpers {
  readonly #options: PolicyHelpersOptions;
  readonly #keys: IssuerKeyKeeper;
  readonly #authorizers: ExternalAuthCaller;
  readonly #introspector: Introspector;
  readonly #logins: LoginClient;
  readonly #stores: StoreKeeper;
  readonly #topics: ReadonlyMap<string, TopicHandler>;

  constructor(options: PolicyHelpersOptions) {
    const { dataPlane, client, keyDisk, clock, timers, random, log, onEvent, onWarming } = options;
    this.#options = options;
    this.#keys = new IssuerKeyKeeper({ useFacts: (update) => dataPlane.useFacts(update), client, disk: keyDisk, clock, timers, random, log, onEvent, onWarming });
    this.#authorizers = new ExternalAuthCaller({ client, clock });
    this.#introspector = new Introspector({ client, clock, random, log });
    this.#logins = new LoginClient({ client, clock, random, log });
    this.#stores = new StoreKeeper({ useFacts: (update) => dataPlane.useFacts(update), timers, random, log, onEvent, onWarming });
    this.#topics = new Map<string, TopicHandler>([
      ['jwt.keys', async (body) => Uint8Array.of(Number(await this.#keys.refetch(Buffer.from(body).toString())))],
      [authQuestion.topic, (body) => this.#authorizers.answer(body)],
      ['tokenIntrospection', (body) => this.#introspector.answer(body)],
      [storeTopic, (body) => this.#stores.answer(body)],
      ['oidcLogin', (body) => this.#logins.answer(body)],
    ]);
    dataPlane.onQuestion((topic, body) => this.#answer(topic, body));
  }

  /** Before anything is enforced. */
  restore(): Promise<void> {
    return this.#keys.restore();
  }

  /** Before a swap. */
  async reach(next: Snapshot): Promise<null> {
    await Promise.all([this.#keys.reach(next), this.#stores.reach(next)]);
    return null;
  }

  /** The snapshot is enforced. */
  async follow(snapshot: Snapshot): Promise<void> {
    await Promise.all([this.#keys.follow(snapshot), this.#stores.follow(snapshot)]);
  }

  /** By name: what policies of this sidecar refer to. */
  useSecrets(secrets: ReadonlyMap<string, Uint8Array>): void {
    this.#introspector.useSecrets(secrets);
    this.#logins.useSecrets(secrets);
    this.#stores.useSecrets(secrets);
  }

  /** Counts of quotas, as the store has them. */
  readCounts(asked: readonly { readonly name: string; readonly identity: string }[]): Promise<readonly number[]> {
    return this.#stores.read(asked);
  }

  get warming(): readonly string[] {
    return [...this.#keys.warming, ...this.#stores.warming];
  }

  get keyAgeSeconds(): ReadonlyMap<string, number> {
    return this.#keys.keyAgeSeconds;
  }

  get keys(): readonly IssuerKeyStatus[] {
    return this.#keys.status;
  }

  async close(): Promise<void> {
    this.#authorizers.close();
    await this.#keys.close();
    await this.#stores.close();
    await this.#options.client.close();
  }

  async #answer(topic: string, body: Uint8Array): Promise<Uint8Array | null> {
    const handler = this.#topics.get(topic);
    if (handler === undefined) return null;
    try {
      return await handler(body);
    } catch (error) {
      this.#options.log.error('a question of a policy failed', { topic, cause: error instanceof Error ? error.message : String(error) });
      return null;
    }
  }
}
