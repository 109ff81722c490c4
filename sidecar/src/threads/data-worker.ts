import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { systemTimers } from '@remora/core/clock';
import { systemRandom } from '@remora/core/random';
import { HostStates } from '@remora/policy-kit/host-states';
import { runtimeKinds } from '../kinds.ts';
import { DataPlaneThread } from './data-plane-thread.ts';
import { LogFiles } from '../records/log-files.ts';
import { LogLines } from '../records/log-lines.ts';
import { writeToStandardOutput } from '../records/standard-output.ts';
import { HealthBatch } from '../records/health-batch.ts';
import { RefusalBatch } from '../records/refusal-batch.ts';
import { SeriesRows } from '../records/series-rows.ts';
import { SpanRing } from '../records/span-ring.ts';
import { SharedMemories } from '../generation/shared-memories.ts';
import { memoryShare } from '../io/memory-share.ts';
import { threadClock } from '../io/thread-clock.ts';
import { StallMeter } from './stall-meter.ts';
import { toldId, type FromWorker, type ToWorker, type WorkerStart } from './worker-messages.ts';
import { ownBytes } from './own-bytes.ts';
import { ThreadQuestions } from './thread-questions.ts';
import { WorkerRequests } from './worker-requests.ts';

/** The program of a data thread: an engine, and the control thread's requests to it. */
function runDataWorker(start: WorkerStart): void {
  const port = parentPort;
  if (port === null) throw new Error('data-worker.ts runs in a worker thread');
  const post = (message: FromWorker): void => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
    port.postMessage(message);
  };
  const after = (delayMs: number, run: () => void): void => void systemTimers.after(delayMs, run);
  const health = new HealthBatch((report) => post({ kind: 'health', report }), after);
  const refusals = new RefusalBatch((report) => {
    // What caused a refusal is known before it.
    health.flush();
    post({ kind: 'refusals', report });
  }, after);
  const series = new SeriesRows(start.seriesMemory, {
    onNames: (from, names) => post({ kind: 'series', from, names }),
    onReleased: (rows) => post({ kind: 'seriesReleased', rows }),
  });
  const vitals = new Float64Array(start.vitalsMemory);
  const memories = start.sharesMemory ? new SharedMemories((wishes) => post({ kind: 'memory', wishes })) : null;
  const questions = new ThreadQuestions((question, topic, body) => post({ kind: 'question', question, topic, body: ownBytes(body) }));
  const thread = new DataPlaneThread({
    questions,
    nodeId: start.nodeId,
    kinds: new Map([...runtimeKinds].filter(([name]) => !start.withoutKinds.includes(name))),
    clock: threadClock(start.monotonicOriginMs),
    timers: systemTimers,
    random: systemRandom,
    refusals,
    health,
    log: new LogLines(writeToStandardOutput, after),
    ...(start.logFolder !== '' && { logFiles: new LogFiles(start.logFolder, start.index, after) }),
    series,
    hostStates: new HostStates(start.hostsMemory),
    locality: start.locality,
    ...(start.spans && { spans: { ring: new SpanRing(start.spans.memory), ratio: start.spans.ratio } }),
    ...(memories && { shared: memories, threads: { count: start.threads, own: start.index } }),
    reusePort: start.reusePort,
    connectionsMax: start.connectionsMax,
    memoryShare: () => memoryShare(start.memoryLimitBytes),
    onOverload: (stage) => {
      vitals[1] = stage;
    },
  });
  const requests = new WorkerRequests(thread, () => refusals.flush(), memories, questions);
  const stalls = stallMeter(vitals);
  port.on('message', ({ id, request }: ToWorker) => {
    // A usual edit is prepared in 2 ms; looking closely for a second would cost as much.
    const patience = request.op === 'prepare' ? setTimeout(() => stalls.watch(), usualPrepareMs) : undefined;
    requests.answer(request).finally(() => clearTimeout(patience)).then(
      (value) => {
        if (id !== toldId) post({ kind: 'answer', id, value });
        if (request.op === 'close') port.close();
      },
      (error: unknown) => post({ kind: 'failed', id, message: error instanceof Error ? error.message : String(error) }),
    );
  });
  post({ kind: 'ready' });
}

function stallMeter(memory: Float64Array): StallMeter {
  return new StallMeter({
    memory,
    delay: monitorEventLoopDelay({ resolution: stallResolutionMs }),
    resolutionMs: stallResolutionMs,
    activeMs: () => performance.eventLoopUtilization().active,
    monotonicMs: () => performance.now(),
    // Looking does not keep a thread that was closed.
    after: (delayMs, run) => void setTimeout(run, delayMs).unref(),
  });
}

const stallResolutionMs = 20;
const usualPrepareMs = 10;

runDataWorker(workerData as WorkerStart);
