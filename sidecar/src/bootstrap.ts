import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock, systemTimers } from '@remora/core/clock';
import { systemRandom } from '@remora/core/random';
import type { RuntimeKinds } from '@remora/snapshot/decode';
import { Sidecar } from './app.ts';
import { tcpProbe } from './config/app-readiness.ts';
import { DiskKey } from './config/disk-key.ts';
import { FileSnapshotDisk } from './config/file-snapshot-disk.ts';
import { UndiciHelperClient } from './helpers/undici-helper-client.ts';
import { FileIssuerKeyDisk } from './issuer-keys/file-issuer-key-disk.ts';
import type { EnrolmentPort } from './identity/enrolment-port.ts';
import { readNodeId } from './config/node-id.ts';
import { processFacts } from './process-facts.ts';
import { readSettings, type SettingProblem } from './settings/read-settings.ts';
import type { IdentitySettings, SidecarSettings } from './settings/sidecar-settings.ts';
import { settingsHelp } from './settings/table.ts';
import type { SidecarEnvironment } from './sidecar-environment.ts';
import { createLog } from './telemetry/log.ts';
import { programVersion } from './version.ts';
import { wireKinds } from './wire-kinds.ts';

/** Exit codes, after sysexits: 64 wrong settings, 69 a port cannot be bound, 75 nothing to enforce in time. */
export const exitCodes = { ok: 0, usage: 64, unavailable: 69, noSnapshot: 75 } as const;

/**
 * `remora sidecar …`: reads the settings, runs a sidecar until SIGTERM or SIGINT, answers the exit code (which it also
 * leaves in `process.exitCode`). Standard output carries one JSON line per event, standard error the log.
 */
export async function runSidecar(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const read = readSettings({ argv, env, readFile: (path) => readFileSync(path, 'utf8') });
  const code = await (read.kind === 'run' ? run(read.settings) : tell(read));
  process.exitCode = code;
  return code;
}

function tell(read: { readonly kind: 'help' | 'version' } | { readonly kind: 'invalid'; readonly problems: readonly SettingProblem[] }): number {
  if (read.kind === 'help') process.stdout.write(settingsHelp());
  else if (read.kind === 'version') process.stdout.write(`${programVersion}\n`);
  else if (read.kind === 'invalid') {
    for (const { setting, message } of read.problems) process.stderr.write(`${setting} ${message}\n`);
    process.stderr.write('remora sidecar --help lists all settings\n');
    return exitCodes.usage;
  }
  return exitCodes.ok;
}

async function run(settings: SidecarSettings): Promise<number> {
  const log = createLog({ level: settings.logLevel, clock: systemClock, write: (line) => void process.stderr.write(line) });
  let sidecar: Sidecar;
  try {
    sidecar = await Sidecar.start(settings, await productionEnvironment(settings, log));
  } catch (error) {
    log.error('the sidecar cannot start', { cause: error instanceof Error ? error.message : String(error) });
    return exitCodes.unavailable;
  }
  const stopListening = drainOnSignals(sidecar);
  const code = await Promise.race([sidecar.ended.then(() => exitCodes.ok), refuseWithoutSnapshot(settings, sidecar)]);
  if (code === exitCodes.noSnapshot) {
    log.error('nothing to enforce came in time', { timeoutMs: settings.startTimeoutMs });
    await sidecar.stop();
  }
  stopListening();
  // Everything is closed; should a handle of a library remain, the process ends all the same.
  setTimeout(() => process.exit(code), exitPatienceMs).unref();
  return code;
}

const exitPatienceMs = 2_000;

/** Never settles with `wait`, or once there is something to enforce. */
async function refuseWithoutSnapshot(settings: SidecarSettings, sidecar: Sidecar): Promise<number> {
  const forever = new Promise<never>(() => {});
  if (settings.onNoSnapshot === 'wait') return forever;
  const late = Promise.withResolvers<boolean>();
  const timer = systemTimers.after(settings.startTimeoutMs, () => late.resolve(true));
  const refused = await Promise.race([late.promise, sidecar.configured.then(() => false)]);
  timer.cancel();
  return refused ? exitCodes.noSnapshot : forever;
}

/** The first signal drains, the second ends the process at once. */
function drainOnSignals(sidecar: Sidecar): () => void {
  let signals = 0;
  const onSignal = (): void => {
    signals++;
    if (signals > 1) process.exit(130);
    void sidecar.drain();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return () => {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  };
}

async function productionEnvironment(settings: SidecarSettings, log: SidecarEnvironment['log']): Promise<SidecarEnvironment> {
  const nodeId = await readNodeId(settings, log);
  // This thread decodes and checks; what is built of it is built in data threads.
  const kinds = new Map([...wireKinds].filter(([name]) => !settings.withoutKinds.includes(name))) as ReadonlyMap<string, unknown> as RuntimeKinds;
  return {
    version: programVersion,
    nodeId,
    kinds,
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    pause: () => nextTurn(),
    disk: new FileSnapshotDisk(settings.dataDir, settings.subject, systemClock, diskKeyOf(settings)),
    startDataPlane: async () => {
      const { WorkerDataPlane } = await import('./threads/worker-data-plane.ts');
      const { workers, subject, withoutKinds, memoryLimitBytes, locality } = settings;
      return WorkerDataPlane.start({
        workers, subject, withoutKinds, nodeId, logFolder: path.join(settings.dataDir, 'logs'), memoryLimitBytes, locality,
        ...(settings.otlpEndpoint !== '' && settings.otlpSpans === 'requests' && { spans: { ratio: settings.otlpSampling } }),
      });
    },
    ...(settings.identity && { loadIdentity: loadIdentity(settings, settings.identity, nodeId, log) }),
    loadConnectors: async (identity) => {
      if (identity) {
        const { identityConnectors } = await import('./identity/identity-connectors.ts');
        // Does not wait for a certificate.
        void identity.run();
        return identityConnectors(identity, systemClock);
      }
      const [{ GrpcConnector }, { GrpcTelemetryConnector }] = await Promise.all([import('./config/grpc-control-stream.ts'), import('./telemetry/grpc-telemetry-stream.ts')]);
      return { control: new GrpcConnector(), telemetry: new GrpcTelemetryConnector() };
    },
    helpers: { client: new UndiciHelperClient(), keyDisk: new FileIssuerKeyDisk(settings.dataDir) },
    probeApp: tcpProbe,
    loadHealthProbe: async (identity, fileText) => new (await import('./health/node-health-probe.ts')).NodeHealthProbe({ identity, fileText, nowMs: () => systemClock.wallMs() }),
    processFacts,
    ownAddress,
    log,
    announce: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`),
  };
}

function diskKeyOf({ diskKey }: Pick<SidecarSettings, 'diskKey'>): DiskKey | null {
  return diskKey === null ? null : new DiskKey(diskKey);
}

/** What identity needs is loaded only where it is used; gRPC not before the control plane is asked. */
function loadIdentity({ subject, dataDir, diskKey }: SidecarSettings, { token, enrolment }: IdentitySettings, nodeId: string, log: SidecarEnvironment['log']): NonNullable<SidecarEnvironment['loadIdentity']> {
  return async () => {
    const [{ IdentityKeeper }, { FileIdentityDisk }] = await Promise.all([import('./identity/identity-keeper.ts'), import('./identity/file-identity-disk.ts')]);
    const loaded = async (): Promise<EnrolmentPort> => (await import('./identity/grpc-enrolment.ts')).grpcEnrolment({ addresses: enrolment, clock: systemClock });
    const keeper = new IdentityKeeper({
      subject, nodeId, token, log, clock: systemClock, timers: systemTimers, random: systemRandom, disk: new FileIdentityDisk(dataDir, diskKeyOf({ diskKey })),
      enrolment: { join: async (question) => (await loaded()).join(question), renew: async (question) => (await loaded()).renew(question) },
    });
    await keeper.load();
    return keeper;
  };
}

/** The first address of this machine that others can use; loopback where there is none. */
function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { internal, family, address } of addresses ?? []) if (!internal && family === 'IPv4') return address;
  }
  return '127.0.0.1';
}
