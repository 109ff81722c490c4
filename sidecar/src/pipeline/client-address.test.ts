import { parseIpNetwork } from '@remora/core/ip-address';
import { NetworkSet } from '@remora/core/network-set';
import { buildRequestHead } from '@remora/http/head-builder';
import { expect, it } from 'vitest';
import { clientAddress } from './client-address.ts';

const trusted = new NetworkSet();
['10.0.0.0/8', 'fd00::/8'].forEach((text, i) => {
  const network = parseIpNetwork(text);
  if (network !== null) trusted.add(network, i);
});

it.each([
  ['nobody forwarded', [], '10.0.0.1'], ['one client', ['6.6.6.6'], '6.6.6.6'], ['a chain of proxies', ['6.6.6.6, 10.1.1.1, 10.2.2.2'], '6.6.6.6'],
  ['what a stranger claims left of himself', ['1.1.1.1, 6.6.6.6, 10.1.1.1'], '6.6.6.6'], ['several fields', ['6.6.6.6', '10.1.1.1'], '6.6.6.6'],
  ['only proxies', ['10.3.3.3, 10.1.1.1'], '10.3.3.3'], ['an IPv6 client with port', ['[2001:db8::1]:443'], '2001:db8::1'], ['an IPv4 client with port', ['6.6.6.6:1234'], '6.6.6.6'],
  ['an IPv6 proxy', ['6.6.6.6, fd00::1'], '6.6.6.6'], ['what is no address', ['6.6.6.6, unknown, 10.1.1.1'], '10.1.1.1'], ['nothing', [''], '10.0.0.1'],
])('behind %s', (_, fields, expected) => {
  const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: fields.map((value) => ['x-forwarded-for', value] as const) });
  expect(clientAddress(head, '10.0.0.1', trusted)).toBe(expected);
});
