import type { ServiceDocument } from '@remora/model/service-schema';
import { expect, test } from 'vitest';
import { staticEndpointsOf } from './static-endpoints.ts';

test('endpoints without a sidecar are spoken to as their port says', () => {
  const service: ServiceDocument = {
    kind: 'Service', name: 'pricing', endpoints: [{ address: '10.0.0.5' }],
    ports: { http: { port: 80 }, plain: { port: 81, protocol: 'http' }, two: { port: 82, protocol: 'http2' }, rpc: { port: 83, protocol: 'grpc' } },
  };
  const [endpoint] = staticEndpointsOf(service)?.endpoints ?? [];
  expect(endpoint?.protocols).toEqual(['http/1.1']);
  expect(endpoint?.ports.map(({ name, protocols }) => [name, ...protocols])).toEqual([['http'], ['plain'], ['rpc', 'h2c'], ['two', 'h2c']]);
});
