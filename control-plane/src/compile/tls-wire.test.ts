import { expect, test } from 'vitest';
import { wireListenerTls, wireUpstreamTls } from './tls-wire.ts';

const certificate = { certFile: '/a.crt', keyFile: '/a.key' };

test('what is not said is left to the sidecar', () => {
  expect(wireListenerTls(undefined)).toBeUndefined();
  expect(wireUpstreamTls(undefined)).toBeUndefined();
  expect(wireListenerTls({ certificates: [certificate] })).toEqual({
    certificates: [{ ...certificate, secret: '' }], minVersion: '', clientCaFiles: [], ciphers: [], clientAuth: '', alpn: [], requireServerName: false, handshakeTimeoutMs: 0, handshakesMax: 0,
  });
  expect(wireUpstreamTls({})).toEqual({ serverName: '', acceptedNames: [], caFiles: [], verify: '', minVersion: '', ciphers: [], alpn: [], clientCertificate: undefined });
});

test('what is said arrives, durations in milliseconds, names in lower case', () => {
  expect(wireListenerTls({
    certificates: [certificate], minVersion: '1.3', clientCaFiles: ['/ca'], ciphers: ['TLS_AES_128_GCM_SHA256'], clientAuth: 'optional', alpn: ['h2'], requireServerName: true,
    handshakeTimeout: '1m30s', handshakesMax: 7,
  })).toEqual({
    certificates: [{ ...certificate, secret: '' }], minVersion: '1.3', clientCaFiles: ['/ca'], ciphers: ['TLS_AES_128_GCM_SHA256'], clientAuth: 'optional', alpn: ['h2'], requireServerName: true,
    handshakeTimeoutMs: 90_000, handshakesMax: 7,
  });
  expect(wireUpstreamTls({ serverName: 'App.Test', acceptedNames: ['x'], caFiles: ['/ca'], verify: 'none', minVersion: '1.2', ciphers: [], alpn: ['http/1.1'], clientCertificate: certificate })).toEqual({
    serverName: 'app.test', acceptedNames: ['x'], caFiles: ['/ca'], verify: 'none', minVersion: '1.2', ciphers: [], alpn: ['http/1.1'], clientCertificate: { ...certificate, secret: '' },
  });
});
