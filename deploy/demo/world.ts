import type { Fleet } from './fleet.ts';
import type { Narrator } from './narrator.ts';
import type { ShopAnswer } from './gateway-client.ts';
import type { CommandResult } from './remora-command.ts';
import type { DemoProcess } from './supervisor.ts';

/** What the steps of the story work with. */
export interface World {
  readonly fleet: Fleet;
  readonly narrator: Narrator;
  /** Shows and runs `remora …`, and checks its exit code (default 0). */
  remora(args: readonly string[], options?: RemoraOptions): Promise<CommandResult>;
  /** Shows and sends a GET to the gateway. */
  shop(path: string, headers?: Readonly<Record<string, string>>): Promise<ShopAnswer>;
  /** A question to the control plane's API, not shown. */
  api<Answer>(path: string): Promise<Answer>;
  /** A question to a sidecar's admin port, not shown. */
  admin<Answer>(nodeId: string, path: string): Promise<Answer>;
  /** Fails the step, naming both sides, unless it holds; shows it where it does. */
  check(expected: string, holds: boolean, actual: unknown, processes?: readonly DemoProcess[]): void;
  /** A number that one step leaves for a later one: the revision of an edit. */
  readonly memory: Map<string, number>;
}

export interface RemoraOptions {
  readonly exitCode?: number;
  /** As a process of its own. */
  readonly process?: boolean;
  /** Who types it. */
  readonly author?: string;
  readonly timeoutMs?: number;
  /** Runs without telling. */
  readonly quiet?: boolean;
  /** Its standard output is a secret: only the rest is shown. */
  readonly secret?: boolean;
}

/** A step of the story. */
export interface Step {
  readonly title: string;
  /** The whole step, hard. */
  readonly timeoutMs: number;
  run(world: World): Promise<void>;
}
