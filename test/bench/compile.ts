import type { JsonObject } from '@remora/core/canonical-json';
import type { Steps } from '@remora/core/steps';
import type { SubjectKey } from '@remora/core/subject';
import { createPlanner } from '@remora/control-plane/compile/planner';
import type { Planned, Planner } from '@remora/control-plane/compile/planner';
import { effectiveDiff } from '@remora/control-plane/compile/effective-diff';
import { authoringKinds, wireKinds } from '@remora/control-plane/kinds';
import type { DocumentKey, StoredDocument } from '@remora/control-plane/store/store';
import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';
import { timeWriteToPush } from './write-to-push.ts';

/** Cold and incremental compilation of many services, decoding with the sidecar's code included. */
export const run: Bench = async ({ quick, flags }) => {
  const services = Number(flags['services'] ?? 1_000);
  const routes = Number(flags['routes'] ?? 10);
  const documents = makeDocuments(services, routes);
  const rows: BenchRow[] = [];
  const colds = await repeat(quick ? 2 : 5, () => timeCold(documents));
  const cold = median(colds.map(({ ms }) => ms));
  const { planner, planned } = colds[0] ?? timeCold(documents);
  rows.push({ what: `cold compile, ${services} services with ${routes} routes each`, value: round(cold), unit: 'ms', bar: '≤ 2,000 ms', ok: cold <= 2_000 });
  const edits = quick ? 20 : 100;
  const one = timeEdits(planner, planned, edits, (edit) => servicePolicy(edit % services, edit));
  rows.push({ what: 'one edit of one service\'s policy', value: round(median(one.ms)), unit: 'ms', bar: '≤ 5 ms', ok: median(one.ms) <= 5, note: `p99 ${round(quantile(one.ms, 0.99))} ms` });
  rows.push({ what: 'subjects that such an edit changes, at most', value: one.changedMax, unit: '', bar: '1', ok: one.changedMax === 1 });
  const caller = timeEdits(planner, planned, edits, (edit) => callerPolicy(edit % services, edit));
  rows.push({ what: 'one edit of what callers of one service do', value: round(median(caller.ms)), unit: 'ms', bar: '', ok: null, note: `changes at most ${caller.changedMax} subjects` });
  const all = timeEdits(planner, planned, quick ? 2 : 5, fleetPolicy);
  rows.push({ what: 'one edit that touches every subject', value: round(median(all.ms)), unit: 'ms', bar: '', ok: null, note: `changes ${all.changedMax} subjects` });
  const noop = timeEdits(planner, planned, edits, () => servicePolicy(0, 0));
  rows.push({ what: 'subjects changed by an edit that means the same', value: noop.changedMax, unit: '', bar: '0', ok: noop.changedMax === 0 });
  const many = quick ? 20_000 : 100_000;
  const step = Math.max(...longestSteps(many));
  rows.push({ what: `longest step of planning ${many.toLocaleString('en')} routes of one gateway, new and all changed`, value: round(step), unit: 'ms', bar: '≤ 100 ms', ok: step <= 100 });
  rows.push(...await timeWriteToPush([...documents.values()].map(({ document }) => document), { edits, documentOf: (edit) => servicePolicy(7, edit).document, service: 'service-7', bundled: flags['bundled'] !== undefined }));
  return { bench: 'compile', machine: describeMachine(), rows };
};

type Documents = Map<DocumentKey, StoredDocument>;

function stored(document: JsonObject): StoredDocument {
  return { key: `${document['kind'] as string}/${document['name'] as string}`, document, writtenAt: 1, owner: '' };
}

/** Every service calls three others and has a policy of its own; a gateway leads to a hundred of them. */
function makeDocuments(services: number, routes: number): Documents {
  const documents: Documents = new Map();
  const add = (document: JsonObject): void => {
    const one = stored(document);
    documents.set(one.key, one);
  };
  for (let i = 0; i < services; i++) {
    const dependsOn = [1, 7, 31].map((step) => `service-${(i + step) % services}`).filter((name) => name !== `service-${i}`);
    add({ kind: 'Service', name: `service-${i}`, labels: { tier: `t${i % 5}` }, ports: { http: { port: 8080, protocol: 'http' } }, dependsOn: [...new Set(dependsOn)] });
    for (let r = 0; r < routes; r++) add({ kind: 'Route', name: `route-${i}-${r}`, service: `service-${i}`, match: { path: { prefix: `/api/${r}` } }, to: [{ labels: { version: 'v1' }, weight: 90 }, { labels: { version: 'v2' }, weight: 10 }] });
    const policy = servicePolicy(i, 0);
    documents.set(policy.key, policy);
  }
  add({ kind: 'Gateway', name: 'edge', listeners: { plain: { port: 8000 } } });
  for (let i = 0; i < Math.min(100, services); i++) add({ kind: 'Route', name: `edge-${i}`, gateway: 'edge', match: { path: { prefix: `/s${i}` } }, to: [{ service: `service-${i}` }] });
  add({ kind: 'Policy', name: 'baseline', target: {}, timeout: { request: '10s' }, bounds: [{ field: '/timeout/request', max: '60s' }] });
  add({ kind: 'Policy', name: 'patient', target: { services: { labels: { tier: 't1' } } }, timeout: { request: '20s' } });
  return documents;
}

function servicePolicy(service: number, edit: number): StoredDocument {
  return stored({ kind: 'Policy', name: `own-${service}`, target: { service: `service-${service}` }, rateLimit: { limits: { perIp: { requests: 100 + edit, per: '1m', key: ['clientAddress'] } } } });
}

function callerPolicy(service: number, edit: number): StoredDocument {
  return stored({ kind: 'Policy', name: 'callers', target: { service: `service-${service}` }, timeout: { idle: `${30 + (edit % 20)}s` } });
}

function fleetPolicy(edit: number): StoredDocument {
  return stored({ kind: 'Policy', name: 'baseline', target: {}, timeout: { request: `${11 + edit}s` }, bounds: [{ field: '/timeout/request', max: '60s' }] });
}

function timeCold(documents: Documents): { readonly ms: number; readonly planner: Planner; readonly planned: Planned } {
  const planner = createPlanner({ kinds: authoringKinds, wireKinds });
  const began = performance.now();
  const result = planner.plan(null, documents, []);
  const ms = performance.now() - began;
  if (!result.ok) throw new Error(JSON.stringify(result.violations.slice(0, 3)));
  return { ms, planner, planned: result.planned };
}

/** Each edit on top of the one before. */
function timeEdits(planner: Planner, start: Planned, count: number, editOf: (edit: number) => StoredDocument): { readonly ms: readonly number[]; readonly changedMax: number } {
  let planned = start;
  const documents: Documents = new Map(start.documents);
  const ms: number[] = [];
  let changedMax = 0;
  for (let edit = 1; edit <= count; edit++) {
    const document = editOf(edit);
    documents.set(document.key, document);
    const began = performance.now();
    const result = planner.plan(planned, documents, [document.key]);
    ms.push(performance.now() - began);
    if (!result.ok) throw new Error(JSON.stringify(result.violations.slice(0, 3)));
    planned = result.planned;
    const changed: ReadonlySet<SubjectKey> = planned.changed;
    changedMax = Math.max(changedMax, changed.size);
  }
  return { ms, changedMax };
}

/** Others wait for the longest: once all are new, once all are changed, then what that changes is told. */
function longestSteps(routes: number): number[] {
  const planner = createPlanner({ kinds: authoringKinds, wireKinds });
  const documentsOf = (status: number): Documents => {
    const all = [stored({ kind: 'Gateway', name: 'edge', listeners: { plain: { port: 8000 } } })];
    for (let i = 0; i < routes; i++) all.push(stored({ kind: 'Route', name: `r${i}`, gateway: 'edge', match: { path: { prefix: `/api/${i % 1_000}/thing/${i}` } }, respond: { status } }));
    return new Map(all.map((one) => [one.key, one]));
  };
  const [before, after] = [documentsOf(204), documentsOf(200)];
  const first = longestStep(planner.planInSteps(null, before, []));
  if (!first.value.ok) throw new Error(JSON.stringify(first.value.violations.slice(0, 3)));
  const second = longestStep(planner.planInSteps(first.value.planned, after, after.keys()));
  if (!second.value.ok) throw new Error(JSON.stringify(second.value.violations.slice(0, 3)));
  return [first.ms, second.ms, longestStep(effectiveDiff(first.value.planned, second.value.planned, { all: true })).ms];
}

function longestStep<T>(steps: Steps<T>): { readonly value: T; readonly ms: number } {
  let ms = 0;
  for (;;) {
    const began = performance.now();
    const step = steps.next();
    ms = Math.max(ms, performance.now() - began);
    if (step.done === true) return { value: step.value, ms };
  }
}

async function repeat<T>(times: number, make: () => T): Promise<T[]> {
  const made: T[] = [];
  for (let i = 0; i < times; i++) {
    made.push(make());
    await new Promise<void>((resolve) => { setImmediate(resolve); });
  }
  return made;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
