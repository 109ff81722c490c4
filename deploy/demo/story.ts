import { createWorld, narratorName } from './create-world.ts';
import { DemoFailure } from './demo-failure.ts';
import type { Fleet } from './fleet.ts';
import type { Narrator } from './narrator.ts';
import { traffic } from './steps/01-traffic.ts';
import { globalPolicy } from './steps/02-global-policy.ts';
import { overrides } from './steps/03-overrides.ts';
import { refusedWrites } from './steps/04-refused-writes.ts';
import { dryRun } from './steps/05-dry-run.ts';
import { olderBuild } from './steps/06-older-build.ts';
import { killedControlPlane } from './steps/07-killed-control-plane.ts';
import { split } from './steps/08-split.ts';
import { why } from './steps/09-why.ts';
import { strict } from './steps/10-strict.ts';
import { callers } from './steps/11-callers.ts';
import { clients } from './steps/12-clients.ts';
import { amplification } from './steps/13-amplification.ts';
import { outage } from './steps/14-outage.ts';
import type { Supervisor } from './supervisor.ts';
import type { Step, World } from './world.ts';

const steps: readonly Step[] = [traffic, globalPolicy, overrides, refusedWrites, dryRun, olderBuild, killedControlPlane, split, why, strict, callers, clients, amplification, outage];

export interface Story {
  readonly fleet: Fleet;
  readonly supervisor: Supervisor;
  readonly narrator: Narrator;
  /** After the last step, until the signal. */
  readonly stayUp: boolean;
  readonly signal: AbortSignal;
}

/** Tells the whole story; answers the exit code of the demo. */
export async function tellStory(story: Story): Promise<number> {
  const { narrator, signal } = story;
  const world = createWorld(story.fleet, narrator);
  const startedAt = performance.now();
  for (const [index, step] of steps.entries()) {
    const code = await tellStep(story, world, step, index + 1);
    if (code !== 0) return code;
  }
  narrator.say('');
  narrator.holds(`all ${steps.length} steps hold, in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  if (story.stayUp && !signal.aborted) await stayUp(story);
  return 0;
}

async function tellStep(story: Story, world: World, step: Step, number: number): Promise<number> {
  const { narrator, signal } = story;
  const startedAt = performance.now();
  narrator.step(number, step.title);
  try {
    await Promise.race([step.run(world), expire(step.timeoutMs), interruption(signal)]);
    narrator.passed(number, performance.now() - startedAt);
    return 0;
  } catch (error) {
    if (signal.aborted) return 130;
    reportFailure(story, number, step, error);
    return 1;
  }
}

const tailLines = 30;

function reportFailure(story: Story, number: number, step: Step, error: unknown): void {
  const { narrator, supervisor } = story;
  const why = error instanceof DemoFailure ? `  expected: ${error.expected}\n  came:     ${error.actual}` : `  ${(error as Error).stack ?? String(error)}`;
  const told = `\nstep ${number} failed: ${step.title}\n${why}`;
  narrator.failed(told);
  const concerned = error instanceof DemoFailure && error.processes.length > 0 ? error.processes : supervisor.processes;
  for (const process of concerned) {
    narrator.failed(`\n--- last lines of ${process.name} (pid ${process.pid}, ${process.running ? 'running' : 'ended'})`);
    for (const line of process.tail(tailLines)) narrator.say(`  ${line}`);
  }
  // Again: whoever has only the end of a long log has the reason.
  narrator.failed(told);
}

async function stayUp({ fleet, narrator, signal }: Story): Promise<void> {
  narrator.say('');
  narrator.say('Everything stays up until Ctrl-C. To try:');
  narrator.say(`  curl -i http://127.0.0.1:${fleet.gatewayPort}/`);
  narrator.say(`  export REMORA_SERVER=${fleet.api} REMORA_TOKEN=$(cat ${fleet.people.fileOf(narratorName)})   # then: npm run -s remora -- sidecars, history, top, events …`);
  narrator.say(`  ${fleet.api}/docs                   # the API, to browse`);
  for (const { nodeId, ports } of fleet.members) narrator.say(`  ${nodeId.padEnd(12)} admin http://127.0.0.1:${ports.admin}`);
  await new Promise<void>((resolve) => { signal.addEventListener('abort', () => resolve(), { once: true }); });
}

function expire(timeoutMs: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new DemoFailure(`the step ends within ${timeoutMs / 1000} s`, 'it has not')), timeoutMs).unref();
  });
}

function interruption(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new DemoFailure('the story to its end', 'interrupted'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
