import { systemClock, systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { Sidecar } from '../app.ts';
import { MemoryDisk } from '../config/testdata/memory-disk.ts';
import { ScriptedControlPlane } from '../config/testdata/scripted-control-plane.ts';
import { RecordingDataPlane } from '../threads/recording-data-plane.ts';
import { readSettings } from '../settings/read-settings.ts';
import type { SidecarSettings } from '../settings/sidecar-settings.ts';
import type { SidecarEnvironment } from '../sidecar-environment.ts';
import { createLog } from '../telemetry/log.ts';
import type { TelemetryConnector } from '../telemetry/telemetry-stream.ts';

export function settingsOf(argv: string): SidecarSettings {
  const read = readSettings({ argv: argv.split(' '), env: {}, readFile: () => '' });
  if (read.kind !== 'run') throw new Error(JSON.stringify(read));
  return read.settings;
}

/** A whole control thread: real admin and timers, scripted control plane, disk in memory, data plane that records. */
export class SidecarFixture {
  readonly dataPlane = new RecordingDataPlane();
  readonly controlPlane = new ScriptedControlPlane();
  readonly disk: MemoryDisk;
  readonly events: Readonly<Record<string, unknown>>[] = [];
  readonly lines: string[] = [];
  readonly settings: SidecarSettings;
  appReady = true;
  #sidecar: Sidecar | null = null;

  constructor(argv: string, disk = new MemoryDisk()) {
    this.settings = settingsOf(`${argv} --admin-port 0 --drain-delay 10ms --drain-timeout 1s`);
    this.disk = disk;
  }

  get sidecar(): Sidecar {
    if (!this.#sidecar) throw new Error('not started');
    return this.#sidecar;
  }

  async start(change: Partial<SidecarEnvironment> = {}): Promise<this> {
    const note = { name: 'note', format: 1, side: 'provider' as const, reasons: [], decode: (bytes: Uint8Array) => Buffer.from(bytes).toString() };
    const telemetry: TelemetryConnector = { connect: () => ({ sendBatch: () => {}, sendReply: () => {}, close: () => {} }) };
    this.#sidecar = await Sidecar.start(this.settings, {
      version: 'test', nodeId: 'node-1', kinds: new Map([['note', note]]), clock: systemClock, timers: systemTimers, random: seededRandom(1), pause: () => Promise.resolve(),
      disk: this.disk, startDataPlane: () => Promise.resolve(this.dataPlane), loadConnectors: () => Promise.resolve({ control: this.controlPlane, telemetry }),
      probeApp: () => Promise.resolve(this.appReady), loadHealthProbe: () => Promise.resolve({ ask: () => Promise.resolve({ problem: '' }) }), processFacts: { rssBytes: () => 1_000, takeCpuShare: () => 0 }, ownAddress: () => '192.0.2.1',
      log: createLog({ level: 'debug', clock: systemClock, write: (line) => this.lines.push(line) }), announce: (event) => this.events.push(event),
      ...change,
    });
    return this;
  }

  async get(path: string, init: RequestInit = {}): Promise<{ readonly status: number; readonly body: Record<string, unknown>; readonly text: string }> {
    const response = await fetch(`http://${this.sidecar.admin}${path}`, init);
    const text = await response.text();
    return { status: response.status, text, body: text.startsWith('{') ? JSON.parse(text) as Record<string, unknown> : {} };
  }
}
