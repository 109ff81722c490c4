import { Endpoint } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { expect, test } from 'vitest';
import type { ListedEndpoint } from '../instances/instance-registry.ts';
import { findHosts, knownHosts } from './find-hosts.ts';

const listed = [
  { id: 'payments-1', ports: [{ name: 'http', host: '10.0.0.7', port: 80 }, { name: 'admin', host: '10.0.0.7', port: 81 }] }, { id: 'payments-2', ports: [{ name: 'http', host: '10.0.0.8', port: 80 }] },
].map((endpoint) => ({ endpoint: Endpoint.fromPartial(endpoint) }) as ListedEndpoint);

test.each([
  ['10.0.0.7:80', ['10.0.0.7:80']], ['payments-1', ['10.0.0.7:80', '10.0.0.7:81']], ['10.0.0.8', ['10.0.0.8:80']], ['10.0.0.9', []], ['payments', []], ['', []],
])('%j means %j', (text, hosts) => {
  expect(findHosts(listed, text)).toEqual(hosts);
});

test('all of them', () => {
  expect(knownHosts(listed)).toEqual(['10.0.0.7:80', '10.0.0.7:81', '10.0.0.8:80']);
});
