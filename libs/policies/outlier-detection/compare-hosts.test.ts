import { expect, test } from 'vitest';
import { findOutliers } from './compare-hosts.ts';

const off = { deviations: 0, threshold: 0, minHosts: 3, minRequests: 10 };

test('the threshold of the success rate is the mean less so many standard deviations', () => {
  // Mean 0.8, standard deviation 0.4: with 1.9 deviations the least is 0.04, with 2.0 it is 0.
  const volumes = [1, 1, 1, 1, 0].map((rate) => ({ requests: 10, successes: rate * 10 }));
  const found = (deviations: number): number[] => findOutliers(volumes, { successRate: { ...off, deviations }, failurePercentage: off }).map(({ index }) => index);
  expect([found(1.9), found(2)]).toEqual([[4], []]);
});

test('hosts that did too little neither count nor are judged', () => {
  const volumes = [{ requests: 10, successes: 10 }, { requests: 9, successes: 0 }, { requests: 10, successes: 10 }, { requests: 10, successes: 0 }];
  expect(findOutliers(volumes, { successRate: off, failurePercentage: { ...off, threshold: 0.5 } }).map(({ index }) => index)).toEqual([3]);
  expect(findOutliers(volumes, { successRate: off, failurePercentage: { ...off, threshold: 0.5, minHosts: 4 } })).toEqual([]);
});

test('a host that both detectors find is named once', () => {
  const volumes = [1, 1, 1, 1, 0].map((rate) => ({ requests: 10, successes: rate * 10 }));
  const both = findOutliers(volumes, { successRate: { ...off, deviations: 1.5 }, failurePercentage: { ...off, threshold: 0.5 } });
  expect(both.map(({ index, pointer }) => [index, pointer])).toEqual([[4, '/successRate']]);
});
