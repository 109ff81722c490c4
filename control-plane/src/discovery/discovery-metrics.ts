import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Clock } from '@remora/core/clock';
import type { DiscoveryKeeper } from './discovery-keeper.ts';
import type { FeedReport } from './source-feed.ts';

const states: readonly FeedReport['state'][] = ['waiting', 'current', 'failing', 'missing'];

/** Figures of the sources of instances, by source; which Service is behind one is in `remora endpoints`. */
export function createDiscoveryMetrics(registry: Registry, discovery: Pick<DiscoveryKeeper, 'reports' | 'counts'>, clock: Clock): void {
  of(registry, 'remora_discovery_feeds', 'Services followed at a source, by how the source does: current, failing (the last answer holds), waiting for a first answer, or missing here.', ['source', 'state'], (metric) => {
    const counts = new Map<string, number>();
    for (const { source, state } of discovery.reports()) counts.set(`${source}/${state}`, (counts.get(`${source}/${state}`) ?? 0) + 1);
    for (const source of new Set(discovery.reports().map((one) => one.source))) for (const state of states) metric.set({ source, state }, counts.get(`${source}/${state}`) ?? 0);
  });
  of(registry, 'remora_discovery_instances', 'Instances that sources name, and those that are kept as suspect although they do not any more.', ['source', 'suspect'], (metric) => {
    for (const { source, instances, suspect } of discovery.reports()) {
      metric.inc({ source, suspect: 'true' }, suspect);
      metric.inc({ source, suspect: 'false' }, instances - suspect);
    }
  });
  of(registry, 'remora_discovery_oldest_answer_seconds', 'Age of the oldest last answer of a source.', ['source'], (metric) => {
    const oldest = new Map<string, number>();
    for (const { source, answeredAtMs } of discovery.reports()) if (answeredAtMs !== null) oldest.set(source, Math.min(oldest.get(source) ?? answeredAtMs, answeredAtMs));
    for (const [source, atMs] of oldest) metric.set({ source }, Math.max(0, clock.wallMs() - atMs) / 1_000);
  });
  for (const outcome of ['answers', 'failures'] as const) {
    const counter = new Counter({
      name: `remora_discovery_${outcome}_total`, help: outcome === 'answers' ? 'Answers of sources, also where nothing changed.' : 'Tries that a source did not answer.', labelNames: ['source'], registers: [registry],
      collect() {
        this.reset();
        for (const [source, counts] of discovery.counts) this.inc({ source }, counts[outcome]);
      },
    });
    counter.reset();
  }
}

function of(registry: Registry, name: string, help: string, labels: readonly string[], read: (metric: Gauge) => void): void {
  const gauge = new Gauge({
    name, help, labelNames: [...labels], registers: [registry],
    collect() {
      this.reset();
      read(this);
    },
  });
  gauge.reset();
}
