import { readFileSync } from 'node:fs';
import { Fleet, Inbound, Listener, Resource, Route, type DeepPartial } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { expect, test } from 'vitest';
import { snapshotFormat } from './build.ts';
import { fieldFormats, neededFormat, newestFormat } from './field-formats.ts';

/** Beside or above the format: the tree itself, and what travels in the state lane, where unknown fields are passed over by agreement. */
const without = new Set(['Manifest', 'Resource', 'Page', 'Entry', 'EndpointSet', 'Endpoint', 'EndpointPort', 'StateItem']);

/** Each field of the messages in the .proto file, as `Message.field`, with its message or ''. */
function fieldsOfProto(): Map<string, string> {
  const text = readFileSync(new URL('../../proto/remora/snapshot/v1/snapshot.proto', import.meta.url), 'utf8');
  const messages = [...text.matchAll(/^message (\w+) \{\n(.*?)^\}/gms)].map(([, name = '', body = '']) => ({ name, body }));
  const names = new Set(messages.map(({ name }) => name));
  return new Map(messages.filter(({ name }) => !without.has(name)).flatMap(({ name, body }) => [...body.matchAll(/^ +(?:repeated |optional )?([\w.]+) (\w+) = \d+;/gm)].map(([, type = '', field = '']): [string, string] => [
    `${name}.${field.replaceAll(/_(\w)/g, (_all, letter: string) => letter.toUpperCase())}`, names.has(type) ? type : '',
  ])));
}

test('every field that a manifest reaches says which format introduced it', () => {
  const listed = new Map(Object.entries(fieldFormats).flatMap(([message, fields]) => Object.entries(fields).map(([field, format]): [string, string] => [`${message}.${field}`, typeof format === 'number' ? '' : format[1]])));
  const inProto = fieldsOfProto();
  expect(inProto.size).toBeGreaterThan(90);
  expect([...inProto].filter(([field, message]) => listed.get(field) !== message).map(([field]) => `${field} is not listed in libs/snapshot/field-formats.ts, with the format that introduces it`)).toEqual([]);
  expect([...listed.keys()].filter((field) => !inProto.has(field))).toEqual([]);
  expect(newestFormat).toBe(snapshotFormat);
});

type Body = NonNullable<Resource['body']>;
type Case = Body['$case'];

/** As the control plane makes it: all that is not said is at its default. */
function body<C extends Case>($case: C, value: DeepPartial<Extract<Body, { $case: C }>['value']>): Body {
  return Resource.fromPartial({ body: { $case, value } } as DeepPartial<Resource>).body as Body;
}

const plainTls = { certificates: [{ certFile: '/a', keyFile: '/b' }], minVersion: '1.3', clientCaFiles: ['/ca'], ciphers: ['x'] };

test.each<[string, Body, number]>([
  ['Fleet', body('fleet', { trustDomain: 'a', unknownDestinations: 'refuse', trustedProxies: ['10.0.0.0/8'], pathRules: { mergeSlashes: true } }), 1],
  ['Fleet.connect', body('fleet', { connect: 'declared' }), 2],
  ['PathRules.allowEncodedControl', body('fleet', { pathRules: { allowEncodedControl: true } }), 2],
  ['Inbound', body('inbound', { portName: 'http', port: 1, protocol: 'http', settings: Buffer.alloc(32) }), 1],
  ['Inbound.proxyProtocol', body('inbound', { portName: 'smtp', proxyProtocol: 'v1' }), 2],
  ['Listener', body('listener', { name: 'a', port: 1, hosts: ['a'], tls: plainTls }), 1],
  ['Listener.proxyProtocol', body('listener', { name: 'a', proxyProtocol: 'required' }), 2],
  ['ListenerTls.clientAuth', body('listener', { tls: { ...plainTls, clientAuth: 'optional' } }), 2],
  ['ListenerTls.alpn', body('listener', { tls: { ...plainTls, alpn: ['h2'] } }), 2],
  ['ListenerTls.requireServerName', body('listener', { tls: { ...plainTls, requireServerName: true } }), 2],
  ['ListenerTls.handshakeTimeoutMs', body('listener', { tls: { ...plainTls, handshakeTimeoutMs: 1 } }), 2],
  ['ListenerTls.handshakesMax', body('listener', { tls: { ...plainTls, handshakesMax: 1 } }), 2],
  ['Destination', body('destination', { service: 'a', ports: [{ name: 'http', port: 1, protocol: 'http' }] }), 1],
  ['DestinationPort.proxyProtocol', body('destination', { ports: [{ name: 'a' }, { name: 'b', proxyProtocol: 'v2' }] }), 2],
  ['DestinationPort.tls, with nothing in it', body('destination', { ports: [{ name: 'a', tls: {} }] }), 2],
  ['Route', body('route', { name: 'a', match: { path: { kind: { $case: 'prefix', value: '/' } } }, action: { $case: 'respond', value: { status: 204 } } }), 1],
  ['Settings', body('settings', { sections: [{ kind: 'timeout', minFormat: 7 }] }), 1],
])('%s needs the format that has it', (_field, resource, format) => {
  expect(neededFormat(resource)).toBe(format);
});

test('what nothing is said about needs the first', () => {
  expect([neededFormat({ $case: 'fleet', value: Fleet.create() }), neededFormat({ $case: 'inbound', value: Inbound.create() }), neededFormat({ $case: 'listener', value: Listener.create() }), neededFormat({ $case: 'route', value: Route.create() })]).toEqual([1, 1, 1, 1]);
});
