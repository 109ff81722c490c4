import type { Volume } from './host-rows.ts';
import type { OutlierDetectionSettings } from './wire.ts';

/** A host that stands out, with the figures behind it. */
export interface Outlier {
  /** Index into what was compared. */
  readonly index: number;
  /** Field of the section. */
  readonly pointer: '/successRate' | '/failurePercentage';
  readonly detail: string;
}

/**
 * Compares what hosts of one destination did in the last interval (Envoy's success-rate and failure-percentage detectors). Hosts with too few requests
 * are not judged, and where too few hosts are left nobody is. Each host is named once. Pure.
 */
export function findOutliers(volumes: readonly Volume[], { successRate, failurePercentage }: Pick<OutlierDetectionSettings, 'successRate' | 'failurePercentage'>): Outlier[] {
  const found = new Map<number, Outlier>();
  if (successRate.deviations > 0) for (const one of belowTheOthers(volumes, successRate)) found.set(one.index, one);
  if (failurePercentage.threshold > 0) for (const one of aboveTheThreshold(volumes, failurePercentage)) if (!found.has(one.index)) found.set(one.index, one);
  return [...found.values()];
}

function belowTheOthers(volumes: readonly Volume[], { deviations, minHosts, minRequests }: OutlierDetectionSettings['successRate']): Outlier[] {
  const judged = judgedHosts(volumes, minRequests);
  if (judged.length < minHosts) return [];
  const mean = judged.reduce((sum, { rate }) => sum + rate, 0) / judged.length;
  const deviation = Math.sqrt(judged.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / judged.length);
  const least = mean - deviation * deviations;
  return judged.filter(({ rate }) => rate < least).map(({ index, rate }) => ({
    index, pointer: '/successRate', detail: `success-rate, ${percent(rate)} where ${percent(least)} is the least (mean ${percent(mean)}, standard deviation ${percent(deviation)})`,
  }));
}

function aboveTheThreshold(volumes: readonly Volume[], { threshold, minHosts, minRequests }: OutlierDetectionSettings['failurePercentage']): Outlier[] {
  const judged = judgedHosts(volumes, minRequests);
  if (judged.length < minHosts) return [];
  return judged.filter(({ rate }) => 1 - rate >= threshold).map(({ index, rate }) => ({
    index, pointer: '/failurePercentage', detail: `failure-percentage, ${percent(1 - rate)} of ${volumes[index]?.requests ?? 0} requests, ${percent(threshold)} is the threshold`,
  }));
}

function judgedHosts(volumes: readonly Volume[], minRequests: number): { readonly index: number; readonly rate: number }[] {
  return volumes.flatMap(({ requests, successes }, index) => (requests < minRequests ? [] : [{ index, rate: successes / requests }]));
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
