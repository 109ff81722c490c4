import type net from 'node:net';
import { vi } from 'vitest';
import { EndpointSet, type DeepPartial, type Endpoint, type Route, type Section } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Clock } from '@remora/core/clock';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import type { Candidate } from '@remora/snapshot/candidate';
import { requestLimitsAuthoring } from '@remora/policy-request-limits/compile';
import { retryAuthoring } from '@remora/policy-retry/compile';
import { timeoutAuthoring } from '@remora/policy-timeout/compile';
import type { ManualTimers } from '@remora/testing/manual-timers';
import { effectiveSection } from '@remora/testing/effective-section';
import type { JsonObject } from '@remora/core/canonical-json';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { runtimeKinds } from '../kinds.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';
import type { PoolLimits } from '../upstream/pool-limits.ts';

export interface RigOptions {
  /** Ports of the instances of the service `app`. */
  readonly upstreams: readonly number[];
  readonly endpoints?: readonly DeepPartial<Endpoint>[];
  /** Sections as authored, over their defaults. */
  readonly limits?: JsonObject;
  readonly timeouts?: JsonObject;
  /** Absent: no retry kind. */
  readonly retries?: JsonObject;
  readonly trustedProxies?: readonly string[];
  readonly sections?: readonly DeepPartial<Section>[];
  /** Of callers of the service, beside `timeouts` and `retries`. */
  readonly callers?: readonly DeepPartial<Section>[];
  readonly routes?: readonly (DeepPartial<Route> & { readonly name: string })[];
  readonly clock?: Clock;
  /** Time stands still but where a test moves it, and the clock is theirs. */
  readonly timers?: ManualTimers;
  /** Of the limit on memory, 0 to 1. */
  readonly memoryShare?: () => number;
  readonly kinds?: ReadonlyMap<string, RuntimeKind<unknown>>;
  readonly poolLimits?: Partial<PoolLimits>;
  readonly dial?: (options: net.NetConnectOpts) => net.Socket;
}

/** Tests only: a gateway with one listener in front of one service, everything under `/`. */
export class GatewayRig {
  readonly plane: LocalDataPlane;
  readonly refusals: RefusalRecord[] = [];
  port = 0;
  readonly #options: RigOptions;
  #index = 0;

  private constructor(options: RigOptions) {
    this.#options = options;
    this.plane = new LocalDataPlane({ nodeId: 'edge-1', kinds: options.kinds ?? runtimeKinds, ...(options.clock && { clock: options.clock }), ...(options.timers && { timers: options.timers, clock: options.timers.clock }), ...(options.memoryShare && { memoryShare: options.memoryShare }), ...(options.poolLimits && { poolLimits: options.poolLimits }), ...(options.dial && { dial: options.dial }) });
    this.plane.onRefusal((refusal) => this.refusals.push(refusal));
  }

  static async start(options: RigOptions): Promise<GatewayRig> {
    const rig = new GatewayRig(options);
    await rig.setEndpoints(options.endpoints ?? options.upstreams.map(endpointAt));
    await rig.apply(rig.candidate());
    const [bound] = await rig.plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
    rig.port = bound?.port ?? 0;
    return rig;
  }

  candidate(options: Partial<RigOptions> = {}): Candidate {
    const { limits, timeouts, retries, trustedProxies, sections, callers, routes } = { ...this.#options, ...options };
    const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet({ trustedProxies: [...(trustedProxies ?? [])] });
    const provider = builder.settings(...[...(sections ?? []), section(requestLimitsAuthoring, limits ?? {})].sort((a, b) => ((a.kind ?? '') < (b.kind ?? '') ? -1 : 1)));
    const caller = builder.settings(...[...(callers ?? []), ...(retries ? [section(retryAuthoring, retries)] : []), section(timeoutAuthoring, timeouts ?? {})].sort((a, b) => ((a.kind ?? '') < (b.kind ?? '') ? -1 : 1)));
    builder.listener({ name: 'plain', settings: provider }).destination({ service: 'app', settings: caller });
    const all = routes ?? [{ name: 'all', match: { path: { kind: { $case: 'prefix', value: '/' } } } } as const];
    for (const route of all) builder.route({ action: { $case: 'forward', value: { targets: [{ service: 'app', weight: 1 }] } }, settings: provider, ...route });
    return builder.build({ epoch: 1, index: ++this.#index });
  }

  async apply(candidate: Candidate): Promise<void> {
    const prepared = await this.plane.prepare(candidate);
    if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
    await this.plane.swap(candidate.hash, candidate.version);
  }

  async setEndpoints(endpoints: readonly DeepPartial<Endpoint>[]): Promise<void> {
    const set = EndpointSet.fromPartial({ service: 'app', endpoints: [...endpoints] });
    await this.plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(set).finish()] });
  }

  /** What nothing may be left of: connections, timers, calls. */
  async leftovers(): Promise<{ connections: number; timers: number; active: number; open: number }> {
    const { threads } = (await this.plane.describe()) as { threads: { connections: number; timers: number; pools: { active: number; open: number }[] }[] };
    const [thread] = threads;
    if (thread === undefined) throw new Error('no thread');
    const sum = (field: 'active' | 'open'): number => thread.pools.reduce((total, pool) => total + pool[field], 0);
    return { connections: thread.connections, timers: thread.timers, active: sum('active'), open: sum('open') };
  }

  /** Fails where connections, calls or timers stay behind; idle upstream connections may. */
  async untilNothingIsLeft(): Promise<void> {
    await vi.waitFor(async () => {
      await this.#options.timers?.advance(1000);
      const { connections, active, timers, open } = await this.leftovers();
      if (connections > 0 || active > 0 || timers > open) throw new Error(`left: ${connections} connections, ${active} calls, ${timers} timers, ${open} upstream connections`);
    }, { timeout: 5000, interval: 10 });
  }

  close(): Promise<void> {
    return this.plane.close();
  }
}

export function endpointAt(port: number): DeepPartial<Endpoint> {
  return { id: `static/127.0.0.1:${port}`, weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port }] };
}

/** As the control plane compiles it, over its defaults. */
export function section(authoring: AuthoringKind, values: JsonObject): DeepPartial<Section> {
  const { minFormat, body } = authoring.compile(effectiveSection(authoring, values));
  const origins = Object.keys(values).sort().map((field) => ({ pointer: `/${field}`, policy: `sets-${field}` }));
  return { kind: authoring.name, minFormat, body: Buffer.from(body), origins };
}
