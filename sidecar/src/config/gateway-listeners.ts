import type { Timer, Timers } from '@remora/core/clock';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import type { BoundListener, DataPlane, ListenerSpec } from '../threads/data-plane.ts';
import type { SidecarSettings } from '../settings/sidecar-settings.ts';
import type { Log } from '../telemetry/log.ts';
import { planListeners } from './listener-plan.ts';

export interface GatewayListenersOptions {
  readonly settings: SidecarSettings;
  readonly dataPlane: DataPlane;
  readonly timers: Timers;
  readonly log: Log;
  readonly onBound: (bound: readonly BoundListener[]) => void;
}

const retryMs = 5_000;

/**
 * A Gateway's listeners follow its snapshot without a restart. What cannot be bound (a port in use) is said, and tried
 * again; the listeners there were stay meanwhile.
 */
export class GatewayListeners {
  readonly #options: GatewayListenersOptions;
  #wanted: readonly ListenerSpec[] = [];
  #boundFor = '[]';
  #told = '[]';
  #bound: readonly BoundListener[] = [];
  #problem: string | null = null;
  #working: Promise<void> | null = null;
  #retry: Timer | null = null;
  #closed = false;

  constructor(options: GatewayListenersOptions) {
    this.#options = options;
  }

  get bound(): readonly BoundListener[] {
    return this.#bound;
  }

  /** Why the listeners are not those of the snapshot; null where they are. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Brings the listeners to those of the snapshot; resolves after the try. */
  async follow(snapshot: Snapshot | null): Promise<void> {
    const { settings, log } = this.#options;
    if (settings.subject.kind !== 'gateway') return;
    this.#wanted = planListeners(settings, snapshot);
    const unknown = snapshot === null ? [] : [...settings.listeners.keys()].filter((name) => !snapshot.listeners.has(name));
    if (unknown.length > 0) log.warn('a listener of the settings is not in the Gateway document', { listeners: unknown });
    await this.#work();
  }

  /**
   * Before a swap: binds what the next snapshot adds, beside what is bound; a port in use refuses the snapshot then, by
   * its listener's name. What the next one does not have any more is closed by `follow`, after the swap.
   */
  async reach(next: Snapshot): Promise<readonly SnapshotError[] | null> {
    const { settings, dataPlane } = this.#options;
    if (settings.subject.kind !== 'gateway') return null;
    const planned = planListeners(settings, next);
    const names = new Set(planned.map(({ name }) => name));
    const both = [...planned, ...this.#wanted.filter(({ name }) => !names.has(name))];
    if (this.#boundFor === JSON.stringify(planned) || this.#problem !== null) return null;
    try {
      await this.#working;
      this.#bound = await dataPlane.listen(both);
      this.#wanted = both;
      this.#boundFor = JSON.stringify(both);
      return null;
    } catch (error) {
      return [unreachable(error, settings.subject.name)];
    }
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
  }

  async #work(): Promise<void> {
    while (!this.#closed && JSON.stringify(this.#wanted) !== this.#boundFor) {
      if (this.#working) {
        await this.#working;
        continue;
      }
      this.#working = this.#bind(this.#wanted);
      await this.#working;
      this.#working = null;
      if (this.#problem !== null) return;
    }
    const told = JSON.stringify(this.#bound);
    if (this.#closed || told === this.#told) return;
    this.#told = told;
    this.#options.onBound(this.#bound);
  }

  async #bind(specs: readonly ListenerSpec[]): Promise<void> {
    const { dataPlane, log, timers } = this.#options;
    this.#retry?.cancel();
    try {
      this.#bound = await dataPlane.listen(specs);
      this.#boundFor = JSON.stringify(specs);
      this.#problem = null;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      log.error('listeners cannot be bound', { cause: this.#problem });
      if (!this.#closed) this.#retry = timers.after(retryMs, () => void this.#work());
    }
  }
}

/** The data plane's ListenError names the listener; the author looks into the Gateway document. */
function unreachable(error: unknown, gateway: string): SnapshotError {
  const message = error instanceof Error ? error.message : String(error);
  const { spec } = error as { readonly spec?: ListenerSpec };
  const listener = spec?.portName ?? '';
  return { resource: listener === '' ? `gateway ${gateway}` : `listener ${listener}`, kind: '', pointer: listener === '' ? '/listeners' : `/listeners/${listener}/port`, code: 'port-in-use', message, policies: [] };
}
