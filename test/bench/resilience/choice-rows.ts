import { createUsualBalancer, loadBalancingRuntime } from '@remora/policy-load-balancing/filter';
import { usualLoadBalancing } from '@remora/policy-load-balancing/wire';
import type { Call } from '@remora/policy-kit/exchange';
import { HostStates } from '@remora/policy-kit/host-states';
import type { Balancer, Host, HostSet } from '@remora/policy-kit/hosts';
import { TestFilterContext } from '@remora/testing/filter-context';
import { systemRandom } from '@remora/core/random';
import type { BenchRow } from '../bench-document.ts';

/** What the choice of a host costs by default, and how many keys move when a host of a ring goes. */
export function choiceRows(): Promise<readonly BenchRow[]> {
  return Promise.resolve([...[1, 10, 1_000].map(choiceRow), movedRow()]);
}

function choiceRow(count: number): BenchRow {
  const set = hostSet(count);
  const balancer = createUsualBalancer(new TestFilterContext('loadBalancing', { random: systemRandom }));
  const call = { avoid: [] } as unknown as Call;
  const times: number[] = [];
  for (let round = 0; round < 7; round++) {
    const began = process.cpuUsage();
    for (let i = 0; i < choices; i++) balancer.choose(call, set, round * 1_000 + i / 100);
    const { user, system } = process.cpuUsage(began);
    times.push(((user + system) * 1_000) / choices);
  }
  const ns = Math.round(times.toSorted((a, b) => a - b)[3] ?? 0);
  return { what: `choice of a host by default, ${count} of them`, value: ns, unit: 'ns', bar: '≤ 1000', ok: ns <= 1_000 };
}

function movedRow(): BenchRow {
  const balancer = ringByClient();
  const owners = (set: HostSet): string[] => Array.from({ length: keys }, (_, i) => balancer.choose({ avoid: [], x: { clientAddress: `user-${i}` } } as unknown as Call, set, 0)?.address ?? '');
  const ten = hostSet(10);
  const before = owners(ten);
  const moved = ten.hosts.map((gone) => {
    const after = owners({ ...ten, hosts: ten.hosts.filter((host) => host !== gone) });
    return before.filter((owner, i) => owner !== after[i]).length / keys;
  });
  const worst = Math.round(Math.max(...moved) * 1_000) / 10;
  return { what: 'ring hash: keys moved when 1 of 10 hosts goes, at worst', value: worst, unit: '%', bar: '≤ 12 %', ok: worst <= 12 };
}

/** The balancer of a section, as its layer names it. */
function ringByClient(): Balancer {
  const layer = loadBalancingRuntime.layer?.({ ...usualLoadBalancing, algorithm: 'ringHash', hashBy: ['clientAddress'] }, new TestFilterContext('loadBalancing', { side: 'outbound' }));
  const call = { balancer: null } as unknown as Call;
  layer?.(() => null as never)(call, null as never);
  if (call.balancer === null) throw new Error('the layer names no balancer');
  return call.balancer;
}

function hostSet(count: number): HostSet {
  const hosts: Host[] = Array.from({ length: count }, (_, slot) => ({
    service: 'app', port: 'http', id: `${slot}`, address: `10.0.0.${slot}:80`, slot, weight: 1, locality: '', labels: [], backup: false, suspect: false, draining: false,
    since: 0, active: slot % 3, downUntil: 0, latencyMs: 5 + (slot % 7), latencyAt: 1, owesSince: 0,
  }));
  return { hosts, all: hosts, states: new HostStates(new ArrayBuffer(HostStates.bytes())), locality: '' };
}

const choices = 200_000;
const keys = 50_000;
