/** A data thread of `store-way-rows.ts`: asks the store again and again, by the control thread or by a connection of its own, and says how long it took. */
import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { systemTimers } from '@remora/core/clock';
import { decodeAnswers, encodeAsks, storeTopic, type StoreAsk } from '@remora/policy-kit/store/store-questions';
import { createRedisClient } from '@remora/sidecar/stores/redis-client';
import { RedisStore } from '@remora/sidecar/stores/redis-store';
import { ownBytes } from '@remora/sidecar/threads/own-bytes';
import { ThreadQuestions } from '@remora/sidecar/threads/thread-questions';
import type { RedisSettings } from '@remora/snapshot/snapshot';

/** What the worker is started with. */
export interface StoreWayStart {
  readonly redis: RedisSettings;
  /** Else the control thread is asked. */
  readonly ownConnection: boolean;
}

/** How many round trips, and how many of them at a time. */
export interface StoreWayWork {
  readonly count: number;
  readonly atOnce: number;
}

type Take = (ask: StoreAsk, done: () => void) => void;

const post = (message: object): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
  parentPort?.postMessage(message);
};
const { redis, ownConnection } = workerData as StoreWayStart;
const take = ownConnection ? await byOwnConnection() : byControlThread();
const ask: StoreAsk = { counting: 'bucket', name: 'bench', identity: 'client', requests: 1_000_000, perMs: 1_000, burst: 1_000_000, cost: 1, want: 1, untilMs: 0 };

parentPort?.on('message', (message: StoreWayWork | { readonly kind: string }) => {
  if ('count' in message) void work(message);
});
post({ kind: 'ready' });

function work({ count, atOnce }: StoreWayWork): Promise<void> {
  const tookMs: number[] = [];
  let begun = 0;
  return new Promise((resolve) => {
    const next = (): void => {
      if (begun++ >= count) return;
      const from = performance.now();
      take(ask, () => {
        tookMs.push(performance.now() - from);
        if (tookMs.length < count) return next();
        post({ kind: 'done', tookMs });
        resolve();
      });
    };
    for (let i = 0; i < atOnce; i++) next();
  });
}

/** As data threads do. */
function byControlThread(): Take {
  const questions = new ThreadQuestions((question, topic, body) => post({ kind: 'question', question, topic, body: ownBytes(body) }));
  parentPort?.on('message', (message: { readonly kind?: string; readonly request: { readonly question: number; readonly body: Uint8Array | null } }) => {
    if (message.kind !== 'answer') return;
    questions.answer(message.request.question, message.request.body);
  });
  return (one, done) => {
    questions.ask(storeTopic, encodeAsks([one]), (body) => {
      if (body === null || decodeAnswers(body)[0]?.granted !== 1) throw new Error('the store did not grant');
      done();
    });
  };
}

async function byOwnConnection(): Promise<Take> {
  const client = await createRedisClient(redis, { redis: '', sentinel: '' }, Math.random);
  const store = new RedisStore({ client, keyPrefix: redis.keyPrefix, deadlineMs: redis.deadlineMs, timers: systemTimers, onTrouble: () => {} });
  while (!store.ready) await new Promise((resolve) => { setTimeout(resolve, 5); });
  return (one, done) => {
    void store.take([one]).then(([answer]) => {
      if (answer?.granted !== 1) throw new Error('the store did not grant');
      done();
    });
  };
}
