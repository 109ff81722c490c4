import { readFileSync } from 'node:fs';
import path from 'node:path';
import { kindOrder } from '@remora/policy-kit/order';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from './source-files.ts';

/** Every kind's page has the same parts in the same order; what is special to a kind stands between what it does and what it costs. */
const before = ['Example', 'Fields', 'Semantics'];
const after = ['Limits', 'Metrics', 'Reason codes'];
/** What a caller decides about others, and what a provider sheds, are states that people look for. */
const afterOfStates = ['Limits', 'Metrics', 'Events', 'Reason codes'];
const built = kindOrder.filter((kind) => kind.built);
const read = (file: string): string => readFileSync(path.join(repositoryRoot, file), 'utf8');
const folderOf = (kind: string): string => kind.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

test('the check sees the kinds', () => {
  expect(built.length).toBeGreaterThan(30);
});

describe.each(built)('the page of $name', ({ name, side }) => {
  const page = read(`libs/policies/${folderOf(name)}/README.md`);
  const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading = '']) => heading);

  test('has the headings of all kinds in their order', () => {
    const end = side === 'caller' || name === 'concurrency' || headings.includes('Events') ? afterOfStates : after;
    expect(headings.slice(0, before.length)).toEqual(before);
    expect(headings.slice(-end.length)).toEqual(end);
    expect(new Set(headings).size).toBe(headings.length);
  });

  test('tells fields with type and default', () => {
    const fields = page.slice(page.indexOf('\n## Fields'), page.indexOf('\n## Semantics'));
    expect(fields).toMatch(/^\| field \| type \|(?: default \|)?(?: level \|)? meaning \|$/m);
  });

  test('tells reason codes with Envoy\'s flag, or that there are none', () => {
    const reasons = page.slice(page.indexOf('\n## Reason codes'));
    if (/^\| `[a-z-]+` \| /m.test(reasons)) expect(reasons).toMatch(/^\| code \| status \| Envoy flag \| when \|$/m);
    else expect(reasons).toMatch(/None|data path|engine/);
  });
});

test('the life of a request names the kinds of both sides, the caller\'s in their order', () => {
  const life = read('docs/life-of-a-request.md');
  const layers = life.slice(life.indexOf('\n## 6. Layers'), life.indexOf('\n## 7. '));
  const named = [...layers.matchAll(/^\* \[([a-zA-Z]+)\]\(/gm)].map(([, kind = '']) => kind);
  expect(named).toEqual(built.filter(({ side }) => side === 'caller').map(({ name }) => name));
  const rows = [...life.matchAll(/^\| \d+ \| \[([a-zA-Z]+)\]\(/gm)].map(([, kind = '']) => kind);
  const order = built.map(({ name }) => name);
  expect(rows).toContain('quota');
  expect(rows.map((kind) => order.indexOf(kind))).toEqual(rows.map((kind) => order.indexOf(kind)).toSorted((a, b) => a - b));
});
