import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { Side } from '@remora/policy-kit/exchange';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { describe, expect, test } from 'vitest';
import { effectiveSection, sectionViolations } from './effective-section.ts';
import { driveExchange, type ExchangeStep } from './exchange-driver.ts';
import { TestFilterContext } from './filter-context.ts';
import { expectGolden, goldenJson } from './golden.ts';
import { ManualClock } from './manual-clock.ts';

/**
 * The tables of a policy kind: `testdata/valid/x.json` is a section, its golden the settings that the sidecar gets;
 * `invalid/x.json` a section, its golden the violations; `exchange/x.json` a section with requests and upstream's
 * responses, its golden what becomes of them. Layers have no such tables: their tests drive them by hand.
 */
export function testKindCases<S>(folder: string, authoring: AuthoringKind, runtime: RuntimeKind<S>): void {
  describe.each(casesOf(folder, 'valid'))('valid/$name', ({ file, golden }) => {
    test('is accepted, and compiles to its golden settings', () => {
      const section = readJson(file) as JsonObject;
      expect(sectionViolations(authoring, section)).toEqual([]);
      expectGolden(golden, goldenJson(runtime.decode(authoring.compile(effectiveSection(authoring, section)).body)));
    });
  });

  describe.each(casesOf(folder, 'invalid'))('invalid/$name', ({ file, golden }) => {
    test('is refused with its golden violations', () => {
      const violations = sectionViolations(authoring, readJson(file) as JsonObject);
      expect(violations.length).toBeGreaterThan(0);
      expectGolden(golden, goldenJson(violations));
    });
  });

  describe.each(casesOf(folder, 'exchange'))('exchange/$name', ({ file, golden }) => {
    test('decides as its golden table says', () => {
      const outcomes = runExchanges(readJson(file) as ExchangeTable, authoring, runtime);
      expect(outcomes.length).toBeGreaterThan(0);
      expectGolden(golden, goldenJson(outcomes));
    });
  });
}

export interface ExchangeTable {
  readonly section: JsonObject;
  readonly side?: Side;
  readonly scope?: string;
  /** RFC 3339; 2026-01-01 unless told. */
  readonly now?: string;
  readonly steps: readonly (ExchangeStep & {
    /** Time that passes before the request. */
    readonly afterMs?: number;
    readonly times?: number;
  })[];
}

function runExchanges<S>(table: ExchangeTable, authoring: AuthoringKind, runtime: RuntimeKind<S>): unknown[] {
  expect(sectionViolations(authoring, table.section)).toEqual([]);
  const clock = new ManualClock(table.now === undefined ? undefined : Date.parse(table.now));
  const context = new TestFilterContext(authoring.name, { clock, ...(table.side ? { side: table.side } : {}), ...(table.scope ? { scope: table.scope } : {}) });
  const filter = runtime.edge?.(runtime.decode(authoring.compile(effectiveSection(authoring, table.section)).body), context) ?? { kind: authoring.name };
  return table.steps.flatMap((step) => {
    clock.advance(step.afterMs ?? 0);
    return Array.from({ length: step.times ?? 1 }, () => driveExchange(filter, context, table.side ? { side: table.side, ...step } : step));
  });
}

function casesOf(folder: string, group: 'valid' | 'invalid' | 'exchange'): { name: string; file: string; golden: string }[] {
  const at = path.join(folder, 'testdata', group);
  if (!existsSync(at)) return [];
  const names = readdirSync(at, { withFileTypes: true }).filter((entry) => entry.name.endsWith('.json') && !entry.name.endsWith('.golden.json'));
  return names.map(({ name }) => ({ name: name.slice(0, -5), file: path.join(at, name), golden: path.join(at, `${name.slice(0, -5)}.golden.json`) }));
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
