import { renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemTimers } from '@remora/core/clock';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { expect, test } from 'vitest';
import { describeSource, paymentsTarget } from '../testdata/source-contract.ts';
import { readEndpointFile } from './endpoint-file.ts';
import { createFileSource } from './file-source.ts';

for (const name of ['payments.yaml', 'shop.json']) {
  describeSource(`file ${name}`, { emptyIsAnswer: true, hangs: false }, async () => {
    const folder = scratchFolder('discovery');
    const file = path.join(folder, name);
    let text = 'endpoints: []\n';
    // As programs that write configuration do: never half of it.
    const replace = (content: string): void => {
      writeFileSync(`${file}.new`, content);
      renameSync(`${file}.new`, file);
    };
    return {
      source: createFileSource({ folder, timers: systemTimers, everyMs: 5 }),
      discovery: { source: 'file', ...(name !== 'payments.yaml' && { file: { path: name } }) },
      async put(places) { replace(text = JSON.stringify({ endpoints: places.map(({ host, port }) => ({ address: host, port })) })); },
      async break() { replace('endpoints: [{address: 10.0.0.1'); },
      async mend() { replace(text); },
      async end() { rmSync(folder, { recursive: true }); },
    };
  });
}

describeSource('a file that comes and goes', { emptyIsAnswer: true, hangs: false }, async () => {
  const folder = scratchFolder('discovery');
  const file = path.join(folder, 'payments.yaml');
  let text = '';
  return {
    source: createFileSource({ folder, timers: systemTimers, everyMs: 5 }),
    discovery: { source: 'file' },
    async put(places) { writeFileSync(file, text = `endpoints:${places.length === 0 ? ' []' : places.map(({ host, port }) => `\n  - {address: ${host}, port: ${port}}`).join('')}\n`); },
    async break() { rmSync(file); },
    async mend() { writeFileSync(file, text); },
    async end() { rmSync(folder, { recursive: true }); },
  };
});

const several = { ports: [{ name: 'admin', port: 9000 }, { name: 'http', port: 8080 }] };

test('everything that an endpoint may say', () => {
  const text = 'endpoints:\n  - {id: a1, address: 10.0.0.1, ports: {http: 81}, weight: 5, backup: true, draining: true, labels: {version: v2}, locality: eu/a}\n  - {address: db.internal}\n';
  expect(readEndpointFile(text, several)).toEqual({
    ok: true, instances: [
      { id: 'a1', ports: [{ name: 'admin', host: '10.0.0.1', port: 9000 }, { name: 'http', host: '10.0.0.1', port: 81 }], labels: { version: 'v2' }, locality: 'eu/a', weight: 5, backup: true, draining: true },
      { id: 'db.internal:9000', ports: [{ name: 'admin', host: 'db.internal', port: 9000 }, { name: 'http', host: 'db.internal', port: 8080 }], labels: {}, locality: '', weight: 1, backup: false, draining: false },
    ],
  });
});

test.each([
  ['', 'expected object'],
  ['[', 'is neither YAML nor JSON'],
  ['a: &x [1]\nendpoints: *x', 'is neither YAML nor JSON'],
  ['endpoints: {}', '/endpoints'],
  ['endpoints: []\nendpoints: []', 'is neither YAML nor JSON'],
  ['endpoints: [{adress: x}]', '/endpoints/0'],
  ['endpoints: [{address: x, port: 0}]', '/endpoints/0/port'],
  ['endpoints: [{address: x, weight: -1}]', '/endpoints/0/weight'],
  ['endpoints: [{address: x, labels: {"a b": c}}]', '/endpoints/0/labels'],
  ['endpoints: [{address: x}, {address: x}]', '/endpoints/1: x:8080 is listed twice'],
  ['endpoints: [{address: x, ports: {web: 1}}]', '/endpoints/0/ports/web: the service has no port web, but http'],
  ['endpoints: [{address: x, port: 1, ports: {http: 1}}]', '/endpoints/0/port: give port or ports, not both'],
])('%j is refused, and says why', (text, message) => {
  const read = readEndpointFile(text, paymentsTarget);
  expect(read.ok ? '' : read.message).toContain(message);
});

test('a port where there are several', () => {
  const read = readEndpointFile('endpoints: [{address: x, port: 1}]', several);
  expect(read.ok ? '' : read.message).toContain('the service has several ports');
});
