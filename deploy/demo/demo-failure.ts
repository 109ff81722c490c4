import type { DemoProcess } from './supervisor.ts';

/** A step did not show what it should: what was expected, what came, and whose logs say more. */
export class DemoFailure extends Error {
  readonly expected: string;
  readonly actual: string;
  readonly processes: readonly DemoProcess[];

  constructor(expected: string, actual: string, processes: readonly DemoProcess[] = []) {
    super(`expected: ${expected}; came: ${actual}`);
    this.name = 'DemoFailure';
    this.expected = expected;
    this.actual = actual;
    this.processes = processes;
  }
}
