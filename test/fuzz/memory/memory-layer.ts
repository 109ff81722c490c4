import { ManualTimers } from '@remora/testing/manual-timers';
import { RawClient } from '../../processes/raw-client.ts';
import { guarded, type GatewayTrial, type GatewayUnderFuzz } from '../gateway-layer.ts';
import type { CorpusEntry, FuzzFinding, FuzzLayer } from '../layer.ts';
import { Outcomes } from '../outcomes.ts';
import type { Transport } from '../transport.ts';
import { Undisturbed } from '../undisturbed.ts';
import { Hearing } from '../witness/hearing.ts';
import { MemoryMesh } from './memory-mesh.ts';
import { MemoryNetwork } from './memory-network.ts';

export interface MemoryTrialKind {
  readonly name: string;
  readonly noun: string;
  readonly start: (transport: Transport) => Promise<GatewayTrial>;
  /** What the upstream speaks. */
  readonly protocol?: 'http' | 'http2';
  /** With the upstream's own sidecar before it: what it and the gateway speak. */
  readonly between?: 'http/1.1' | 'h2c';
  readonly parallel: number;
  readonly witnessed: boolean;
}

/**
 * The same cases without processes: listener, engine and upstream side of a data thread in this process, over a network in memory, under a clock that stands
 * still. What happens, in which order, follows from the seed alone; time passes only when nothing else can happen.
 */
export class MemoryLayer implements FuzzLayer {
  readonly name: string;
  cases = 0;
  readonly #kind: MemoryTrialKind;
  readonly #network = new MemoryNetwork();
  readonly #timers = new ManualTimers();
  readonly #outcomes = new Outcomes();
  #hearing: Hearing | null = null;
  #trial!: GatewayTrial;
  #mesh!: MemoryMesh;
  #gateway!: GatewayUnderFuzz;

  constructor(kind: MemoryTrialKind) {
    this.#kind = kind;
    this.name = kind.name;
  }

  async begin(): Promise<readonly string[]> {
    if (this.#kind.witnessed) this.#hearing = await Hearing.open();
    this.#trial = await this.#kind.start(this.#network);
    const { protocol = 'http', between = null } = this.#kind;
    this.#mesh = await MemoryMesh.start({ network: this.#network, timers: this.#timers, port: this.#trial.upstream.port, protocol, between });
    const { port } = this.#mesh;
    this.#gateway = { open: async () => RawClient.over(await this.#network.connect(port)), outcomes: this.#outcomes, undisturbed: new Undisturbed([]), exhaustive: true, hopOverHttp2: between === 'h2c' };
    return this.#hearing?.missing ?? [];
  }

  async round(seed: number): Promise<readonly FuzzFinding[]> {
    this.#network.reseed(seed);
    const cases = Array.from({ length: this.#kind.parallel }, (_, nth) => {
      const each = (seed + nth) >>> 0;
      this.cases++;
      return guarded(this.name, each, () => this.#trial.judge(each, this.#gateway));
    });
    const found = (await this.#settled(Promise.all(cases))).flat();
    const left = await this.#left();
    if (left !== '') found.push({ entry: { layer: this.name, name: `round-${seed}`, seed, bytes: '', setting: {} }, problem: left });
    return [...found, ...await this.#hear(false)];
  }

  replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]> {
    this.#network.reseed(entry.seed);
    return this.#settled(guarded(this.name, entry.seed, () => this.#trial.replay(entry, this.#gateway)));
  }

  /** Time passes when nothing else happens, a second at a time: what waits for its limits comes to an end. */
  async #settled<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const result = work.finally(() => { done = true; });
    // It is awaited below; until then its failure is nobody's.
    result.catch(() => {});
    for (let still = 0; !done;) {
      await turn();
      still = this.#network.quiet ? still + 1 : 0;
      if (still < stillTurns) continue;
      still = 0;
      await this.#timers.advance(1000);
    }
    return result;
  }

  /** '' where no connection, call, tunnel or timer stays behind a round; idle upstream connections may. */
  async #left(): Promise<string> {
    for (let turns = 0; ; turns++) {
      const left = await this.#mesh.left();
      if (left === '' || turns >= leftTurns) return left === '' ? '' : `left behind: ${left}`;
      await turn();
      if (turns % 20 === 19) await this.#timers.advance(1000);
    }
  }

  async #hear(all: boolean): Promise<FuzzFinding[]> {
    const streams = this.#trial.upstream.streams?.splice(0) ?? [];
    if (this.#hearing === null) return [];
    for (const stream of streams) if (this.#streams++ % heardShare === 0) this.#hearing.add(stream);
    return all || this.#hearing.due ? this.#hearing.judge() : [];
  }

  #streams = 0;

  async end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }> {
    await this.#trial.upstream.drop?.();
    const findings = await this.#hear(true);
    await this.#mesh.close();
    await this.#trial.upstream.close();
    await this.#hearing?.close();
    return { findings, summary: [`${this.cases} ${this.#kind.noun} (${this.#outcomes.text}), ${this.#network.segments} segments`, this.#hearing?.summary].filter(Boolean).join('; ') };
  }
}

/** The witnesses read one stream in so many: they cost more than all the rest. */
const heardShare = 8;
/** Turns of the event loop in which nothing arrived, until time passes: streams of Node take some of their own. */
const stillTurns = 20;
const leftTurns = 2000;

function turn(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}
