import path from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { describe, expect, test } from 'vitest';
import { goldenOf, runScripted } from './cli-fixture.ts';

const folder = path.join(import.meta.dirname, 'testdata/validate');

describe('validate, offline', () => {
  test.each(['mesh.yaml', 'misspelt.yaml', 'conflict.yaml', 'bound.yaml', 'unknown-service.yaml', 'unreadable.yaml', 'not-utf8.yaml', 'duplicates.yaml'])('%s', async (file) => {
    const args = ['validate', '-f', 'mesh.yaml', ...(file === 'mesh.yaml' ? [] : ['-f', file])];
    const run = await runScripted(args, { cwd: folder });
    expect(run.requests).toEqual([]);
    expect(run.exitCode).toBe(file === 'mesh.yaml' ? 0 : 1);
    expectGolden(path.join(folder, `${file}.txt`), goldenOf(args, run));
  });

  test('programs get the violations as JSON', async () => {
    const run = await runScripted(['validate', '-f', 'mesh.yaml', '-f', 'misspelt.yaml', '-o', 'json'], { cwd: folder });
    const { violations } = JSON.parse(run.out) as { violations: readonly { code: string; source: string; suggestion?: string }[] };
    expect(violations.map(({ code }) => code)).toContain('unknown-field');
    expect(violations.every(({ source }) => source.startsWith('misspelt.yaml:'))).toBe(true);
  });
});

describe('validate, of what is stored', () => {
  const hedge = { document: 'Policy/hedge', pointer: '/hedging/delay', code: 'contradiction', message: 'delay (14s) is not shorter than timeout.request (12s)' };
  const ready = { status: 'ready', version: '0.1.0', head: { epoch: 1, index: 2 }, sidecars: 1, contradictions: [] };

  test('says that this build would take it', async () => {
    const run = await runScripted(['validate', '--stored'], { script: { 'GET /readyz': { body: ready } } });
    expect(run).toMatchObject({ exitCode: 0, out: 'valid: this build would take everything that is stored\n', err: '', requests: ['GET /readyz'] });
  });

  test('names contradictions that are enforced as before', async () => {
    const run = await runScripted(['validate', '--stored'], { script: { 'GET /readyz': { body: { ...ready, contradictions: [hedge] } } } });
    expect(run).toMatchObject({ exitCode: 1, out: `Policy/hedge\n  /hedging/delay  ${hedge.message}  (contradiction)\n`, err: 'error: 1 violation in what is stored: enforced as before; an edit of each ends it\n' });
  });

  test('names what keeps everything from being compiled', async () => {
    const problem = { type: 'urn:remora:problem:not-ready', title: 'Not ready', status: 503, code: 'not-ready', detail: 'the documents in the store cannot be compiled', violations: [hedge, hedge] };
    const run = await runScripted(['validate', '--stored', '-o', 'json'], { script: { 'GET /readyz': { status: 503, type: 'application/problem+json', body: problem } } });
    expect(run.exitCode).toBe(1);
    expect(JSON.parse(run.out)).toEqual({ state: 'broken', violations: [hedge, hedge] });
    expect(run.err).toContain('2 violations in what is stored: nothing is pushed until');
  });

  test('a control plane that only starts is no verdict', async () => {
    const run = await runScripted(['validate', '--stored'], { script: { 'GET /readyz': { status: 503, type: 'application/problem+json', body: { title: 'Not ready', status: 503, code: 'not-ready', detail: 'the control plane is starting' } } } });
    expect(run).toMatchObject({ exitCode: 7, out: '' });
    expect(run.err).toContain('the control plane is starting');
  });

  test.each([[['validate']], [['validate', '--stored', '-f', 'mesh.yaml']]])('%j: files or what is stored, one of them', async (args) => {
    const run = await runScripted(args, { cwd: folder });
    expect(run).toMatchObject({ exitCode: 2, out: '' });
  });
});
