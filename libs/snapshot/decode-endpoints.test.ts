import { EndpointSet, type DeepPartial } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { describe, expect, test } from 'vitest';
import { decodeEndpointSet } from './decode-endpoints.ts';

function encode(set: DeepPartial<EndpointSet>): Uint8Array {
  return EndpointSet.encode(EndpointSet.fromPartial(set)).finish();
}

describe('decodeEndpointSet', () => {
  test('gives a frozen set, sorted', () => {
    const result = decodeEndpointSet(encode({
      service: 'orders',
      endpoints: [{ id: 'b', weight: 1, ports: [{ name: 'http', host: '10.0.0.2', port: 80, protocols: [] }], labels: [{ key: 'version', value: 'v2' }] }, { id: 'a', weight: 1 }],
    }));
    expect(result.ok && result.set.endpoints.map(({ id }) => id)).toEqual(['a', 'b']);
    expect(result.ok && result.set.endpoints[1]?.ports.get('http')).toEqual({ host: '10.0.0.2', port: 80, protocols: [] });
    expect(result.ok && result.set.endpoints[1]?.labels).toEqual(['version=v2']);
  });

  test('an empty set is a set: none', () => {
    expect(decodeEndpointSet(encode({ service: 'orders' }))).toMatchObject({ ok: true, set: { endpoints: [] } });
  });

  test('says all that is wrong', () => {
    const result = decodeEndpointSet(encode({ service: 'orders', endpoints: [{ id: 'a', ports: [{ name: 'http', host: '', port: 0 }] }, { id: 'a' }] }));
    expect(result.ok ? [] : result.errors.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([
      '/endpoints/0/ports/http/host missing', '/endpoints/0/ports/http/port out-of-range', '/endpoints/1/id duplicate',
    ]);
    expect(decodeEndpointSet(Buffer.from([0xff, 0xff])).ok).toBe(false);
  });
});
