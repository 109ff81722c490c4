import type { Subject } from '@remora/core/subject';
import { seededRandom } from '@remora/core/random';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { ManualTimers, settle } from '@remora/testing/manual-timers';
import { WireError, type RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { buildIdentity } from '@remora/snapshot/build';
import type { Candidate } from '@remora/snapshot/candidate';
import { RecordingDataPlane } from '../../threads/recording-data-plane.ts';
import { ConfigClient, type ConfigClientOptions } from '../config-client.ts';
import { MemoryDisk } from './memory-disk.ts';
import { ScriptedControlPlane } from './scripted-control-plane.ts';

export const edge: Subject = { kind: 'gateway', name: 'edge' };

const note: RuntimeKind<unknown> = {
  name: 'note', format: 1, side: 'provider', reasons: [],
  decode(bytes) {
    const text = Buffer.from(bytes).toString();
    if (text === 'bad') throw new WireError('/text', 'invalid-value', 'must not be bad');
    return text;
  },
};

/** A gateway's snapshot with as many routes; `text` makes contents differ, `bad` is refused. */
export function snapshot(index: number, options: { readonly routes?: number; readonly text?: string; readonly kind?: string; readonly epoch?: number } = {}): Candidate {
  const builder = new CandidateBuilder(edge, { pageEntries: 3 }).fleet().listener({ name: 'plain', port: 8080 });
  const settings = builder.settings({ kind: options.kind ?? 'note', minFormat: 1, body: Buffer.from(options.text ?? `t${index}`) });
  for (let i = 0; i < (options.routes ?? 2); i++) builder.route({ name: `r${i}`, settings });
  return builder.build({ epoch: options.epoch ?? 1, index });
}

/** A config client with everything outside under the test's hands. */
export class ClientFixture {
  readonly timers = new ManualTimers();
  readonly dataPlane = new RecordingDataPlane();
  readonly controlPlane = new ScriptedControlPlane();
  readonly disk: MemoryDisk;
  readonly client: ConfigClient;
  readonly links: string[] = [];

  constructor(options: { readonly disk?: MemoryDisk; readonly seed?: number } & Partial<ConfigClientOptions> = {}) {
    const kinds = options.kinds ?? new Map([['note', note]]);
    const { disk, seed, ...rest } = options;
    this.disk = disk ?? new MemoryDisk();
    this.client = new ConfigClient({
      instance: { nodeId: 'edge-1', subject: edge, labels: {}, locality: '', protocols: ['http/1.1'], advertised: () => [], appReady: () => true },
      build: buildIdentity('test', kinds.values()),
      kinds,
      dataPlane: this.dataPlane,
      disk: this.disk,
      addresses: ['a:1', 'b:1'],
      clock: this.timers.clock,
      timers: this.timers,
      random: seededRandom(seed ?? 1),
      processFacts: { rssBytes: () => 1, takeCpuShare: () => 0 },
      pause: () => Promise.resolve(),
      onLink: ({ connected }) => this.links.push(connected ? 'up' : 'down'),
      ...rest,
    });
  }

  async start(): Promise<this> {
    await this.client.restore();
    this.client.connect(this.controlPlane);
    await settle();
    this.controlPlane.last.heartbeat();
    return this;
  }

  /** Pushes and waits until everything that can happen has happened. */
  async push(candidate: Candidate, options: Parameters<ScriptedControlPlane['last']['push']>[1] = {}): Promise<void> {
    this.controlPlane.last.push(candidate, options);
    await settle();
  }

  get answers(): readonly string[] {
    return this.controlPlane.last.answers;
  }

  /** Hashes in the order in which they were enforced. */
  get enforced(): readonly string[] {
    return this.dataPlane.enforced.map(({ hash }) => hash);
  }
}
