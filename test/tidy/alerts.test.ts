import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { reasons } from '@remora/errors/reason';
import { describeWith } from '@remora/testing/requirement';
import { repositoryRoot } from './source-files.ts';

/** The alerts speak of metrics that exist, and each has its section in the runbook, both ways. */
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

const read = (file: string): string => readFileSync(path.join(repositoryRoot, file), 'utf8');
const { groups } = parse(read('deploy/alerts.yaml')) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
/** The pages are made from the registries, by tests of their own. */
const metrics = new Map(['docs/metrics-control-plane.md', 'docs/metrics-sidecar.md'].flatMap((file) => [...read(file).matchAll(/^\| `(remora_\w+)` \| (\w+) \|.*$/gm)].map(([row, name = '', type = '']) => [name, { type, row }] as const)));

test('the check sees alerts and metrics', () => {
  expect(rules.length).toBeGreaterThan(12);
  expect(metrics.size).toBeGreaterThan(50);
});

test.each(rules)('$alert: its metrics exist', ({ expr }) => {
  const names = [...expr.matchAll(/\bremora_\w+/g)].map(([name]) => name);
  const known = (name: string): boolean => metrics.has(name) || (name.endsWith('_bucket') && metrics.get(name.slice(0, -'_bucket'.length))?.type === 'histogram');
  expect(names.filter((name) => !known(name))).toEqual([]);
  if (names.length === 0) expect(expr).toMatch(/^up\{/);
});

test('phases and reasons in expressions exist', () => {
  const text = rules.map(({ expr }) => expr).join('\n');
  const words = (label: string): string[] => [...text.matchAll(new RegExp(`\\b${label}=~?"([^"]+)"`, 'g'))].flatMap(([, value = '']) => value.split('|'));
  const phases = metrics.get('remora_sidecars')?.row ?? '';
  expect(words('phase').filter((phase) => !phases.includes(phase))).toEqual([]);
  const codes = new Set<string>(Object.values(reasons).map(({ code }) => code));
  const exists = (word: string): boolean => [...codes].some((code) => new RegExp(`^(?:${word})$`).test(code));
  expect(words('reason').filter((word) => !exists(word))).toEqual([]);
});

describeWith('promtool', 'Prometheus', (command) => {
  test('takes the rules', () => {
    expect(execFileSync(command, ['check', 'rules', '--lint=all', '--lint-fatal', 'deploy/alerts.yaml'], { cwd: repositoryRoot, encoding: 'utf8' })).toContain(`${rules.length} rules found`);
  });
});

test('each alert has its section in the runbook, and each section its alert', () => {
  const runbook = read('docs/operations.md').split('\n## Alerts\n')[1] ?? '';
  expect([...runbook.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)).toEqual(rules.map(({ alert }) => alert));
  for (const { alert, annotations } of rules) {
    expect(annotations['runbook']).toBe(`docs/operations.md#${alert.toLowerCase()}`);
    expect(annotations['summary']).toMatch(/\.$/);
  }
});
