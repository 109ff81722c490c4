import path from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { expect, test } from 'vitest';
import { createApiMetrics } from '../api/api-metrics.ts';
import { startApi } from '../api/testdata/api-fixture.ts';
import { systemClock } from '@remora/core/clock';
import { createCanaryMetrics } from '../rollout/canary-metrics.ts';
import { createDiscoveryMetrics } from '../discovery/discovery-metrics.ts';
import { createIdentityMetrics } from '../identity/identity-metrics.ts';
import { createOperatorMetrics } from '../operators/operator-metrics.ts';
import { createSecretMetrics } from '../secrets/secret-metrics.ts';
import { startIdentity } from '../identity/testdata/identity-fixture.ts';
import { createControlPlaneMetrics } from './control-plane-metrics.ts';

/** What a metric's labels say. */
const labels: Readonly<Record<string, string>> = {
  remora_push_lane_messages_total: '`lane`: config, state',
  remora_push_lane_bytes_total: '`lane`: config, state',
  remora_push_updates_total: '`lane`; `kind`: update, unchanged, fallback',
  remora_push_nacks_total: '`lane`; `class`: invalid, guard, resync, transient',
  remora_push_rejections_total: '`code`: bad-hello, identity, older-incarnation, too-many-sidecars, replaced, unknown-service, unknown-gateway, shed',
  remora_sidecars: '`phase`: in-sync, pending, refused, offline, orphaned, draining',
  remora_identity_issued_total: '`how`: join, renew, recover',
  remora_identity_refused_total: '`reason`: as in [identity.md](identity.md)',
  remora_identity_peers_refused_total: '`reason`: as in [identity.md](identity.md)',
  remora_api_auth_total: '`result`: ok, forbidden, missing, twice, not-bearer, malformed, refused, expired, revoked, locked, not-ready',
  remora_discovery_feeds: '`source`: dns, consul, kubernetes, file, static; `state`: waiting, current, failing, missing',
  remora_discovery_instances: '`source`; `suspect`: true, false',
  remora_discovery_oldest_answer_seconds: '`source`',
  remora_discovery_answers_total: '`source`: dns, consul, kubernetes, file',
  remora_discovery_failures_total: '`source`: dns, consul, kubernetes, file',
  remora_canaries: '`phase`: running, completing, reverting, completed, aborted, failed',
  remora_cp_api_requests_total: '`method`, `route`, `status`',
  remora_cp_api_request_seconds: '`method`',
};

test('the page of metrics in docs is made from the registry that /metrics answers from', async () => {
  const api = await startApi();
  const identity = startIdentity();
  try {
    const { controlPlane } = api;
    const metrics = createControlPlaneMetrics({ ...controlPlane, processMetrics: true });
    createIdentityMetrics(metrics.registry, identity.identity, systemClock);
    createApiMetrics(metrics.registry, { ...controlPlane, listeners: () => controlPlane.events.listeners(), taps: controlPlane.taps });
    createOperatorMetrics(metrics.registry, { operators: null, certificate: null, audit: controlPlane.audit, store: controlPlane.store });
    createSecretMetrics(metrics.registry, controlPlane);
    createDiscoveryMetrics(metrics.registry, controlPlane.discovery, systemClock);
    createCanaryMetrics(metrics.registry, controlPlane.canaryBook);
    const text = await metrics.text();
    const rows = [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(([, name = '', help = '', type = '']) => ({ name, help, type }));
    const own = rows.filter(({ name }) => name.startsWith('remora_'));
    expect(own.length).toBeGreaterThan(30);
    expect(rows.filter(({ name }) => !/^(?:remora|process|nodejs)_/.test(name))).toEqual([]);
    expect(Object.keys(labels).filter((name) => !own.some((row) => row.name === name))).toEqual([]);
    expectGolden(path.resolve(import.meta.dirname, '../../../docs/metrics-control-plane.md'), page(own));
  } finally {
    identity.identity.close();
    await api.close();
  }
});

function page(rows: readonly { readonly name: string; readonly type: string; readonly help: string }[]): string {
  const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`);
  return [
    '# Metrics of the control plane',
    '',
    'Made from the registry of `control-plane/src/telemetry/control-plane-metrics.ts` and `control-plane/src/api/api-metrics.ts` by',
    '`npm run golden`. `GET /metrics` of the API (port 8600) answers them in Prometheus\' format, beside the usual `process_…` and `nodejs_…`',
    'figures of `prom-client`. With `--otlp-endpoint` the same figures are sent over OTLP.',
    '',
    'Requests are here by subject (`remora_fleet_…`); sidecars offer theirs by route and destination ([metrics-sidecar.md](metrics-sidecar.md)). The last hour is at',
    '`/v1/telemetry/…` and in `remora top`. What to watch, and the alerts: [operations.md](operations.md).',
    '',
    '| name | type | labels | what it says |',
    '| --- | --- | --- | --- |',
    ...rows.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${labels[name] ?? ''} | ${sentence(help)} |`),
    '',
  ].join('\n');
}
