import { DemoFailure } from './demo-failure.ts';
import type { DemoProcess } from './supervisor.ts';

export interface Condition<Value> {
  /** What is waited for, in words. */
  readonly label: string;
  readonly look: () => Promise<Value>;
  readonly holds: (value: Value) => boolean;
  readonly timeoutMs: number;
  /** Whose logs tell more when it never holds. */
  readonly processes?: readonly DemoProcess[];
}

const betweenLooksMs = 20;

/** Looks again and again until the condition holds; fails naming what was seen last. */
export async function until<Value>(condition: Condition<Value>): Promise<Value> {
  const deadline = performance.now() + condition.timeoutMs;
  let seen = 'nothing yet';
  for (;;) {
    try {
      const value = await condition.look();
      if (condition.holds(value)) return value;
      seen = JSON.stringify(value) ?? 'nothing';
    } catch (error) {
      seen = (error as Error).message;
    }
    if (performance.now() > deadline) throw new DemoFailure(`${condition.label} within ${condition.timeoutMs} ms`, seen.slice(0, 2_000), condition.processes ?? []);
    await new Promise((resolve) => { setTimeout(resolve, betweenLooksMs); });
  }
}
