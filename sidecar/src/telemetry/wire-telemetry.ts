import type { CallerCount, FailureChain as WireChain, HealthState as WireHealthState, Refusal, Series, UnknownDestination } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { toProtoHistogram } from '@remora/telemetry/histogram';
import { parseCallerName, parseUnknownName } from '../records/caller-names.ts';
import type { HealthState } from '../health/health-record.ts';
import type { FailureChain } from '../records/failure-chain.ts';
import type { SeriesReading } from '../threads/data-plane.ts';
import type { KeptRefusal } from './refusal-ring.ts';

export const codesMax = 32;
export const reasonsMax = 256;

/** One series as it travels. */
export function toWireSeries(reading: SeriesReading): Series {
  return {
    side: reading.side,
    route: reading.route,
    destination: reading.destination,
    target: reading.target,
    requests: whole(reading.requests),
    statusClasses: reading.statusClasses.map(whole),
    codes: [...reading.codes].slice(0, codesMax).map(([status, count]) => ({ status, count: whole(count) })),
    grpcCodes: reading.grpcCodes.flatMap((count, code) => (count > 0 ? [{ status: code, count: whole(count) }] : [])),
    bytesIn: whole(reading.bytesIn),
    bytesOut: whole(reading.bytesOut),
    latencyMs: toProtoHistogram(reading.latency),
    refusals: reading.refusals.slice(0, reasonsMax).map((each) => ({ ...each, count: whole(each.count) })),
    retries: whole(reading.retries),
    active: whole(reading.active),
  };
}

/** Who called, as it travels; whom the bound left out is not told apart. */
export function toWireCallers(counts: ReadonlyMap<string, number>): CallerCount[] {
  return [...counts].slice(0, callersMax).flatMap(([name, count]) => {
    const caller = parseCallerName(name);
    return caller === null || count <= 0 ? [] : [{ ...caller, requests: whole(count) }];
  });
}

/** Hosts that the app called and no document declares. */
export function toWireUnknown(counts: ReadonlyMap<string, number>): UnknownDestination[] {
  return [...counts].slice(0, callersMax).flatMap(([name, count]) => {
    const host = parseUnknownName(name);
    return host === null || count <= 0 ? [] : [{ host, requests: whole(count) }];
  });
}

const callersMax = 512;

/** One state of health as it travels. */
export function toWireHealth(state: HealthState): WireHealthState {
  return { ...state, sinceMs: whole(state.sinceMs), untilMs: whole(state.untilMs) };
}

/** One refusal as it travels. */
export function toWireRefusal(record: KeptRefusal): Refusal {
  const { configVersion, configHash, chain, held = [], ...rest } = record;
  const [epoch, index] = configVersion.split('.');
  return {
    ...rest,
    atMs: whole(record.atMs),
    configEpoch: digits(epoch),
    configIndex: digits(index),
    configHash: Buffer.from(configHash, 'hex'),
    chain: chain && toWireChain(chain),
    held: held.map(toWireHealth),
  };
}

function toWireChain({ startedAtMs, tries, noFurther, hosts, ...rest }: FailureChain): WireChain {
  return {
    ...rest,
    startedAtMs: whole(startedAtMs),
    tries: tries.map(({ kind, pointer, policy, detail, ...one }) => ({ ...one, limit: kind === '' && detail === '' ? undefined : { kind, pointer, policy, detail } })),
    noFurther: noFurther ?? undefined,
    hosts: hosts === null ? undefined : { ...hosts, leftOut: hosts.leftOut.map((host) => ({ ...host, untilMs: whole(host.untilMs) })) },
  };
}

function whole(value: number): bigint {
  return BigInt(Math.max(0, Math.round(Number.isFinite(value) ? value : 0)));
}

function digits(text: string | undefined): bigint {
  return text !== undefined && /^\d{1,18}$/.test(text) ? BigInt(text) : 0n;
}
