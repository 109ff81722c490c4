import { expect, it } from 'vitest';
import { ListenerTls } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { FieldCheck } from '@remora/snapshot/field-check';
import { decodeListenerTls } from '@remora/snapshot/decode-tls';
import { SnapshotErrors } from '@remora/snapshot/snapshot-error';
import { strictPathSpelling, type GatewayListener } from '@remora/snapshot/snapshot';
import { noSettings } from '@remora/snapshot/effective-settings';
import { ManualClock } from '@remora/testing/manual-clock';
import { TestAuthority } from '@remora/testing/test-authority';
import { ServerContexts } from './server-contexts.ts';
import { TlsMaterialStore } from './tls-material.ts';

const { cert, key } = new TestAuthority().issue({ dns: ['shop.test', '*.w.test'] });

function setUp(): { contexts: ServerContexts; clock: ManualClock; of: (host: string) => unknown; built: () => number; store: TlsMaterialStore } {
  const store = new TlsMaterialStore();
  store.use({ files: new Map([['/a.crt', cert], ['/a.key', key]]), ticketSecret: new Uint8Array(32) });
  const clock = new ManualClock();
  let built = 0;
  const contexts = new ServerContexts(store, clock, (name) => {
    if (name === 'tls_context-built') built++;
  });
  const tls = decodeListenerTls(ListenerTls.fromPartial({ certificates: [{ certFile: '/a.crt', keyFile: '/a.key' }] }), '', new FieldCheck(new SnapshotErrors(), ''));
  if (tls === null) throw new Error('no TLS');
  const listener: GatewayListener = {
    hash: '', name: 'secure', port: 1, hosts: [], protocol: 'https', redirectToHttps: false, settings: noSettings, tls, proxyProtocol: false, pathRules: strictPathSpelling,
  };
  return { contexts, clock, store, of: (host) => contexts.context(contexts.policy(listener, tls), host), built: () => built };
}

it('each host that a certificate names has a context of its own, kept while it is used', () => {
  const { of, built } = setUp();
  const hosts = ['shop.test', 'a.w.test', 'b.w.test', ''];
  const made = hosts.map(of);
  expect(new Set(made).size).toBe(4);
  expect(hosts.map(of)).toEqual(made);
  expect(built()).toBe(4);
});

it('hosts that are invented share one', () => {
  const { of, built } = setUp();
  for (let i = 0; i < 1000; i++) of(`invented-${i}.test`);
  expect(built()).toBe(1);
  expect(of('invented.test')).not.toBe(of(''));
});

it('so do hosts of a wildcard while too many new ones come; those that are known, and others a second later, have their own', () => {
  const { of, clock, built } = setUp();
  const first = of('h0.w.test');
  for (let i = 1; i < 300; i++) of(`h${i}.w.test`);
  expect(built()).toBe(101);
  expect(of('h0.w.test')).toBe(first);
  expect(of('h200.w.test')).toBe(of('h201.w.test'));
  expect(of('shop.test')).not.toBe(of('h200.w.test'));
  clock.advance(1000);
  expect(of('h200.w.test')).not.toBe(of('h201.w.test'));
});

it('at most 512 are kept, the ones used last; new material makes new ones', () => {
  const { of, clock, contexts, store } = setUp();
  const first = of('shop.test');
  for (let i = 0; i < 600; i++) {
    if (i % 100 === 0) clock.advance(1000);
    of(`h${i}.w.test`);
    of('shop.test');
  }
  expect(contexts.size).toBe(512);
  expect(of('shop.test')).toBe(first);
  store.use(store.current);
  expect(of('shop.test')).not.toBe(first);
});
