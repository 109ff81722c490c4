import { Worker } from 'node:worker_threads';
import { systemTimers } from '@remora/core/clock';
import { decodeAsks, encodeAnswers } from '@remora/policy-kit/store/store-questions';
import { createRedisClient } from '@remora/sidecar/stores/redis-client';
import { RedisStore } from '@remora/sidecar/stores/redis-store';
import { ownBytes } from '@remora/sidecar/threads/own-bytes';
import type { RedisSettings } from '@remora/snapshot/snapshot';
import { RedisServer } from '@remora/testing/redis-server';
import { programPath } from '@remora/testing/requirement';
import type { BenchRow } from '../bench-document.ts';
import type { StoreWayStart, StoreWayWork } from './store-way-worker.ts';

/** What a round trip to Redis costs over the one connection of the control thread, and what it would over a connection of each data thread (decision 12). */
export async function storeWayRows(): Promise<BenchRow[]> {
  const command = programPath('redis-server');
  if (command === null) return [{ what: 'ways to the store', value: Number.NaN, unit: '', bar: '', ok: null, note: 'needs redis-server' }];
  const server = await RedisServer.start({ command });
  const redis: RedisSettings = {
    mode: 'single', addresses: [`127.0.0.1:${server.port}`], master: '', database: 0, username: '', passwordSecret: '', sentinelUsername: '', sentinelPasswordSecret: '', tls: null,
    allowPrivateAddresses: true, keyPrefix: 'bench:', deadlineMs: 1_000,
  };
  const ways: Way[] = [];
  try {
    for (const ownConnection of [false, true]) ways.push(await startWay(redis, ownConnection));
    return [...(await rowsOf(ways, { count: 4_000, atOnce: 1 }, 'one after the other')), ...(await rowsOf(ways, { count: 12_000, atOnce: 16 }, '16 at once'))];
  } finally {
    for (const way of ways) await way.end();
    await server.kill();
  }
}

interface Way {
  readonly name: string;
  run(work: StoreWayWork): Promise<readonly number[]>;
  end(): Promise<void>;
}

/** In turns, so that whatever else the machine does falls on both: the median of the rounds. */
async function rowsOf(ways: readonly Way[], work: StoreWayWork, how: string): Promise<BenchRow[]> {
  const costs = ways.map((): number[] => []);
  const times = ways.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, way] of ways.entries()) {
      const before = process.cpuUsage();
      const took = (await way.run(work)).toSorted((a, b) => a - b);
      const { user, system } = process.cpuUsage(before);
      if (round === 0) continue;
      costs[i]?.push((user + system) / work.count);
      times[i]?.push(...took);
    }
  }
  return ways.flatMap(({ name }, i) => [
    { what: `${how}, ${name}: CPU of a round trip`, value: round1(quantile(costs[i] ?? [], 0.5)), unit: 'µs', bar: '', ok: null },
    { what: `${how}, ${name}: round trip`, value: round1(quantile(times[i] ?? [], 0.5) * 1_000), unit: 'µs', bar: '', ok: null, note: `p99 ${round1(quantile(times[i] ?? [], 0.99) * 1_000)}` },
  ]);
}

async function startWay(redis: RedisSettings, ownConnection: boolean): Promise<Way> {
  const client = ownConnection ? null : await createRedisClient(redis, { redis: '', sentinel: '' }, Math.random);
  const store = client === null ? null : new RedisStore({ client, keyPrefix: redis.keyPrefix, deadlineMs: redis.deadlineMs, timers: systemTimers, onTrouble: () => {} });
  while (store !== null && !store.ready) await new Promise((resolve) => { setTimeout(resolve, 5); });
  const worker = new Worker(new URL('./store-way-worker.ts', import.meta.url), { workerData: { redis, ownConnection } satisfies StoreWayStart });
  const tell = (message: object): void => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
    worker.postMessage(message);
  };
  let arrived: (message: FromStoreWay) => void = () => {};
  worker.on('message', (message: FromStoreWay) => {
    if (message.kind !== 'question') return arrived(message);
    void store?.take(decodeAsks(message.body)).then((taken) => tell({ kind: 'answer', request: { op: 'answer', question: message.question, body: ownBytes(encodeAnswers(taken)) } }));
  });
  const failed = new Promise<never>((_, reject) => {
    worker.once('error', reject);
  });
  const next = (kind: FromStoreWay['kind']): Promise<FromStoreWay> => Promise.race([failed, new Promise<FromStoreWay>((resolve) => {
    arrived = (message) => {
      if (message.kind === kind) resolve(message);
    };
  })]);
  await next('ready');
  return {
    name: ownConnection ? 'a connection of each data thread' : 'the connection of the control thread',
    async run(work) {
      const done = next('done');
      tell(work);
      const message = await done;
      return message.kind === 'done' ? message.tookMs : [];
    },
    async end() {
      store?.close();
      await worker.terminate();
    },
  };
}

type FromStoreWay =
  | { readonly kind: 'ready' }
  | { readonly kind: 'question'; readonly question: number; readonly body: Uint8Array }
  | { readonly kind: 'done'; readonly tookMs: readonly number[] };

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN;
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The first warms up. */
const rounds = 6;
