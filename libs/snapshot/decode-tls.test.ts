import { expect, test } from 'vitest';
import { ListenerTls, UpstreamTls, type DeepPartial } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { decodeListenerTls, decodeUpstreamTls } from './decode-tls.ts';
import { FieldCheck } from './field-check.ts';
import { SnapshotErrors } from './snapshot-error.ts';

function listener(wire: DeepPartial<ListenerTls>): { value: unknown; problems: string[] } {
  const errors = new SnapshotErrors();
  const value = decodeListenerTls(ListenerTls.fromPartial(wire), '/tls', new FieldCheck(errors, 'listener x'));
  return { value, problems: errors.any ? errors.list().map(({ pointer, code }) => `${pointer} ${code}`) : [] };
}

function upstream(wire: DeepPartial<UpstreamTls>): { value: unknown; problems: string[] } {
  const errors = new SnapshotErrors();
  const value = decodeUpstreamTls(UpstreamTls.fromPartial(wire), '/tls', new FieldCheck(errors, 'destination x'));
  return { value, problems: errors.any ? errors.list().map(({ pointer, code }) => `${pointer} ${code}`) : [] };
}

test('defaults', () => {
  expect(listener({})).toEqual({
    problems: [],
    value: { certificates: [], minVersion: '1.2', clientCaFiles: [], clientAuth: 'none', ciphers: [], alpn: [], requireServerName: false, handshakeTimeoutMs: 10_000, handshakesMax: 1_000 },
  });
  expect(listener({ clientCaFiles: ['/ca'] }).value).toMatchObject({ clientAuth: 'required' });
  expect(listener({ clientCaFiles: ['/ca'], clientAuth: 'optional' }).value).toMatchObject({ clientAuth: 'optional' });
  // Without authorities nobody could be believed: no certificate is asked for.
  expect(listener({ clientAuth: 'required' }).value).toMatchObject({ clientAuth: 'none' });
  expect(upstream({}).value).toEqual({ serverName: '', acceptedNames: [], caFiles: [], verify: 'full', minVersion: '1.2', ciphers: [], alpn: [], clientCertificate: null });
});

test.each<[string, readonly string[], readonly string[]]>([
  ['certificates', listener({ certificates: [{ certFile: '/a' }] }).problems, ['/tls/certificates/0/keyFile missing']],
  ['secrets', listener({ certificates: [{ certFile: '/a', keyFile: '/b', secret: 'x' }] }).problems, ['/tls/certificates/0/secret invalid-value']],
  ['names of Secrets', listener({ certificates: [{ secret: '../etc/passwd' }, { secret: 'api-cert' }] }).problems, ['/tls/certificates/0/secret invalid-value']],
  ['versions', listener({ minVersion: '1.1' }).problems, ['/tls/minVersion invalid-value']],
  ['suites that would change the list', listener({ ciphers: ['ALL:@SECLEVEL=0', 'A:B'] }).problems, ['/tls/ciphers/0 invalid-value', '/tls/ciphers/1 invalid-value']],
  ['protocols', upstream({ alpn: ['h2', 'h3'] }).problems, ['/tls/alpn/1 invalid-value']],
  ['client certificates', upstream({ clientCertificate: { keyFile: '/b' } }).problems, ['/tls/clientCertificate/certFile missing']],
  ['times', listener({ handshakeTimeoutMs: 1 }).problems, ['/tls/handshakeTimeout out-of-range']],
  ['what to verify', upstream({ verify: 'sometimes' }).problems, ['/tls/verify invalid-value']],
])('%s are checked again', (_name, problems, expected) => {
  expect(problems).toEqual(expected);
});
