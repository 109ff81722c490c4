import { observe } from '@remora/telemetry/histogram';
import { expect, test } from 'vitest';
import { createPushMetrics } from '../push/push-metrics.ts';
import { FleetTotals } from './fleet-totals.ts';
import { ReasonCatalogue } from './reason-catalogue.ts';
import { createTrafficCounts } from './traffic-counts.ts';
import { createControlPlaneMetrics } from './control-plane-metrics.ts';

test('the Prometheus page shows what the hub counts, each time it is read', async () => {
  const metrics = createPushMetrics();
  const reasons = new ReasonCatalogue();
  const totals = new FleetTotals(reasons);
  const page = createControlPlaneMetrics({
    hub: { metrics, sidecars: () => [] },
    instances: { counts: () => ({ leases: 3, suspect: 1, draining: 0 }) },
    telemetry: { totals, sizes: () => ({ series: 7, seriesMax: 10, overflowedSeries: 0, targetsLeftOut: 0, refusals: 0, batches: 5, rejectedBatches: 0, historyBytes: 0, droppedRows: 0 }) },
    processMetrics: false,
  });
  metrics.bytesSentTotal = 1_000;
  metrics.nacksTotal.set('config/invalid', 2);
  for (const ms of [10, 20, 300]) observe(metrics.propagationMs, ms);
  const traffic = createTrafficCounts();
  traffic.classes.set([0, 0, 8, 0, 2, 0]);
  traffic.grpcCodes.set(14, 3).set(17, 1);
  traffic.reasons.set(reasons.idOf({ reason: 'rate-limited', kind: 'rateLimit', policy: 'trial', shadow: true }), 4);
  for (let nth = 0; nth < 2; nth++) totals.add({ subject: 'gateway/edge', side: 'gateway' }, traffic);
  const lines = (await page.text()).split('\n');
  expect(lines).toEqual(expect.arrayContaining([
    'remora_push_bytes_sent_total 1000',
    'remora_push_nacks_total{lane="config",class="invalid"} 2',
    'remora_instances_suspect 1',
    'remora_telemetry_batches_total 5',
    'remora_sidecars{phase="offline"} 0',
    '# TYPE remora_push_propagation_seconds histogram',
    'remora_push_propagation_seconds_bucket{le="0.016"} 1',
    'remora_push_propagation_seconds_bucket{le="0.032"} 2',
    'remora_push_propagation_seconds_bucket{le="+Inf"} 3',
    'remora_push_propagation_seconds_sum 0.33',
    'remora_fleet_requests_total{subject="gateway/edge",side="gateway",class="2xx"} 16',
    'remora_fleet_requests_total{subject="gateway/edge",side="gateway",class="4xx"} 4',
    'remora_fleet_grpc_calls_total{subject="gateway/edge",side="gateway",code="UNAVAILABLE"} 6',
    'remora_fleet_grpc_calls_total{subject="gateway/edge",side="gateway",code="other"} 2',
    'remora_fleet_refusals_total{reason="rate-limited",kind="rateLimit",policy="trial",shadow="true"} 8',
    'remora_fleet_request_seconds_count{side="gateway"} 0',
    'remora_push_propagation_seconds_count 3',
  ]));
  metrics.bytesSentTotal = 1_500;
  expect(await page.text()).toContain('remora_push_bytes_sent_total 1500');
  expect(page.contentType).toMatch(/^text\/plain/);
});

test('subjects beyond the bound are counted together', () => {
  const totals = new FleetTotals(new ReasonCatalogue());
  const traffic = createTrafficCounts();
  traffic.classes[2] = 1;
  for (let nth = 0; nth < 2_100; nth++) totals.add({ subject: `service/s${nth}`, side: 'inbound' }, traffic);
  const all = [...totals.subjects()];
  expect(all.length).toBe(2_001);
  expect(all.find(({ subject }) => subject === '_overflow')?.classes[2]).toBe(100);
});
