import type net from 'node:net';
import { handlesWork } from '../io/handles-test.ts';
import { ListenError } from '../io/listen-error.ts';
import { ListenerBinding } from '../listener/listener-binding.ts';
import type { Engine } from '../pipeline/engine.ts';
import type { AppTargets } from '../upstream/app-targets.ts';
import type { BoundListener, ListenerSpec } from './data-plane.ts';

/** The listeners of one data thread, by name. */
export class ListenerSet {
  readonly #engine: Engine;
  readonly #options: ListenerSetOptions;
  readonly #bindings = new Map<string, ListenerBinding>();
  #handles: boolean | null = null;

  constructor(engine: Engine, options: ListenerSetOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** Whether connections are carried by handles of the system; null: nothing was bound yet. */
  get handles(): boolean | null {
    return this.#handles;
  }

  all(): ListenerBinding[] {
    return [...this.#bindings.values()];
  }

  bound(): BoundListener[] {
    return this.all().map(({ spec, port }) => ({ name: spec.name, host: spec.host, port }));
  }

  /**
   * Makes the listeners those of the list: what is bound stays, what is missing in it closes when its requests are done. Rejects naming
   * the port that is in use; then everything is as before.
   */
  async listen(specs: readonly ListenerSpec[]): Promise<BoundListener[]> {
    const made: ListenerBinding[] = [];
    for (const spec of specs) {
      if (spec.side === 'inbound' && spec.app !== undefined) this.#options.apps.set(spec.portName ?? '', spec.app);
      if (this.#boundAs(spec) !== null) continue;
      try {
        made.push(await this.#bind(spec));
      } catch (error) {
        for (const binding of made) binding.close();
        throw error;
      }
    }
    for (const binding of made) this.#replaceBinding(binding);
    const wanted = new Set(specs.map(({ name }) => name));
    for (const [name, binding] of this.#bindings) {
      if (wanted.has(name)) continue;
      this.#bindings.delete(name);
      void binding.drain();
    }
    return this.bound().filter(({ name }) => wanted.has(name));
  }

  #boundAs({ name, host, port }: ListenerSpec): ListenerBinding | null {
    const known = this.#bindings.get(name);
    return known !== undefined && known.spec.host === host && (known.spec.port === port || known.port === port) ? known : null;
  }

  #replaceBinding(binding: ListenerBinding): void {
    const replaced = this.#bindings.get(binding.spec.name);
    this.#bindings.set(binding.spec.name, binding);
    void replaced?.drain();
  }

  async #bind(spec: ListenerSpec): Promise<ListenerBinding> {
    const { makeServer, reusePort } = this.#options;
    this.#handles ??= makeServer === undefined && await handlesWork();
    const binding = new ListenerBinding(this.#engine, spec, { handles: this.#handles, reusePort, ...(makeServer && { makeServer }) });
    try {
      await binding.listen(spec.port);
    } catch (error) {
      throw new ListenError(spec, error);
    }
    return binding;
  }
}

export interface ListenerSetOptions {
  /** Told where the app of an inbound port listens. */
  readonly apps: AppTargets;
  readonly reusePort: boolean;
  /** Makes what listens; `net.createServer` by default. Its connections have no handles of the system. */
  readonly makeServer?: typeof net.createServer;
}
