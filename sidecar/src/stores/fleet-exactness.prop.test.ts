import { once } from 'node:events';
import { systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import type { JsonObject } from '@remora/core/canonical-json';
import { WAIT, type EdgeFilter } from '@remora/policy-kit/exchange';
import { encodeInstanceCount, instanceCountName, instancesFactKind } from '@remora/policy-kit/instance-share';
import { decodeAsks, encodeAnswers, storeFactKind, storeFactName } from '@remora/policy-kit/store/store-questions';
import { encodeStoreFact } from '@remora/policy-kit/store/store-line';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { rateLimitRuntime } from '@remora/policy-rate-limit/filter';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange } from '@remora/testing/exchange-driver';
import { MemoryLiveState, TestFilterContext } from '@remora/testing/filter-context';
import { ManualClock } from '@remora/testing/manual-clock';
import { RedisServer } from '@remora/testing/redis-server';
import { describeWith } from '@remora/testing/requirement';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRedisClient } from './redis-client.ts';
import { RedisStore } from './redis-store.ts';

/** The largest lease is 1.3 % of a window; the next is asked for while half of the last is left. */
const heldMax = 0.021;

/** One sidecar: the filter as it is, whose questions a real Redis answers. */
class Member {
  readonly #store: RedisStore;
  readonly #live = new MemoryLiveState();
  readonly #context: TestFilterContext;
  readonly #filter: EdgeFilter;

  constructor(store: RedisStore, limit: JsonObject, name: string) {
    this.#store = store;
    this.#context = new TestFilterContext('rateLimit', { clock: new ManualClock(), live: this.#live, scope: `inbound/${name}/` });
    this.#context.factBooks.apply({ kind: storeFactKind, full: true, facts: new Map([[storeFactName, encodeStoreFact(1_000)]]) });
    this.#context.factBooks.apply({ kind: instancesFactKind, full: true, facts: new Map([[instanceCountName, encodeInstanceCount(4)]]) });
    const body = rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { limits: { whole: { ...limit, sharedBy: 'fleet', onStoreFailure: 'closed' } } })).body;
    this.#filter = rateLimitRuntime.edge?.(rateLimitRuntime.decode(body), this.#context) ?? { kind: 'rateLimit' };
  }

  async request(): Promise<boolean> {
    const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, this.#context);
    let passed: boolean | null = null;
    x.proceed = () => { passed = true; };
    x.answer = () => { passed = false; };
    const verdict = this.#filter.request?.(x) ?? null;
    if (verdict !== WAIT) passed = verdict === null;
    await this.#answerAll();
    if (passed === null) throw new Error('the request waits for nothing');
    return passed;
  }

  /** SIGTERM: what it holds goes back. After a kill nobody calls this. */
  async drain(): Promise<void> {
    this.#live.lapse();
    await this.#answerAll();
  }

  async #answerAll(): Promise<void> {
    for (let next = this.#context.asked.shift(); next !== undefined; next = this.#context.asked.shift()) {
      const { body, answered } = next;
      answered(encodeAnswers(await this.#store.take(decodeAsks(body))));
    }
  }
}

describeWith('redis-server', 'limits of the fleet, by the scripts as they are, with sidecars that drain and die', (command) => {
  let server: RedisServer;
  let store: RedisStore;
  let names = 0;
  beforeAll(async () => {
    server = await RedisServer.start({ command });
    const random = seededRandom(3);
    const client = await createRedisClient({
      mode: 'single', addresses: [`127.0.0.1:${server.port}`], master: '', tls: null, username: '', passwordSecret: '', sentinelUsername: '', sentinelPasswordSecret: '', database: 0, keyPrefix: 't:',
      deadlineMs: 5_000, allowPrivateAddresses: true,
    }, { redis: '', sentinel: '' }, () => random.next());
    store = new RedisStore({ client, keyPrefix: 't:', deadlineMs: 5_000, timers: systemTimers, onTrouble: () => {} });
    if (!store.ready) await once(client, 'ready');
  });
  afterAll(async () => {
    store.close();
    await server.kill();
  });

  interface Run {
    readonly admitted: number;
    readonly kills: number;
  }

  /** Random requests over four sidecars, some of which end or die meanwhile; then all drain, and one that is new takes what is left. */
  async function run(limit: JsonObject, seed: number, offered: number, turnover: number): Promise<Run> {
    const random = seededRandom(seed);
    const name = `orders-${names++}`;
    const fresh = (): Member => new Member(store, limit, name);
    const members = Array.from({ length: 4 }, fresh);
    let [admitted, kills] = [0, 0];
    for (let i = 0; i < offered; i++) {
      const which = Math.floor(random.next() * members.length);
      if (await members[which]?.request()) admitted += 1;
      if (random.next() >= turnover) continue;
      if (random.next() < 0.5) await members[which]?.drain();
      else kills += 1;
      members[which] = fresh();
    }
    for (const member of members) await member.drain();
    const last = fresh();
    while (await last.request()) admitted += 1;
    return { admitted, kills };
  }

  test.each(['fixedWindow', 'slidingWindow', 'tokenBucket'])('%s, at most 1,000: exactly the limit, whoever dies', async (algorithm) => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 80 }), fc.integer(), async (requests, seed) => {
      expect((await run({ algorithm, requests, per: '30d' }, seed, requests * 2, 0.1)).admitted).toBe(requests);
    }), { numRuns: 12 });
  }, 60_000);

  test.each(['fixedWindow', 'slidingWindow', 'tokenBucket'])('%s, with leases: never more than the limit, and less by no more than what the killed held', async (algorithm) => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1_001, max: 4_000 }), fc.integer(), async (requests, seed) => {
      const { admitted, kills } = await run({ algorithm, requests, per: '30d' }, seed, Math.floor(requests * 0.8), 0.005);
      expect(admitted).toBeLessThanOrEqual(requests);
      expect(admitted).toBeGreaterThanOrEqual(requests - kills * Math.ceil(requests * heldMax));
    }), { numRuns: 8 });
  }, 120_000);
});
