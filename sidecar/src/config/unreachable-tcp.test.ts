import type { Snapshot } from '@remora/snapshot/snapshot';
import { expect, it } from 'vitest';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { decodeSnapshot } from '@remora/snapshot/decode';
import { runtimeKinds } from '../kinds.ts';
import { readSettings } from '../settings/read-settings.ts';
import type { SidecarSettings } from '../settings/sidecar-settings.ts';
import { unreachableTcp } from './unreachable-tcp.ts';

const ports = [{ name: 'sql', port: 5432, protocol: 'tcp' }];

function snapshot(): Snapshot {
  const decoded = decodeSnapshot(new CandidateBuilder({ kind: 'service', name: 'shop' }).fleet()
    .destination({ service: 'db', ports })
    .destination({ service: 'mail', ports: [{ name: 'http', port: 80, protocol: 'http' }, { name: 'smtps', port: 465, protocol: 'tls' }] }).build(), runtimeKinds);
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.errors));
  return decoded.snapshot;
}

function settings(more: string): SidecarSettings {
  const read = readSettings({ argv: `--service shop --app 127.0.0.1:80 ${more}`.trim().split(' '), env: { HOME: '/home/u' }, readFile: () => '' });
  if (read.kind !== 'run') throw new Error(JSON.stringify(read));
  return read.settings;
}

it.each([
  ['', ['db:5432', 'mail:465']],
  ['--outbound-for db=1', ['mail:465']],
  ['--outbound-for db:5432=1 --outbound-for mail=2', ['mail:465']],
  ['--outbound-for db:5432=1 --outbound-for mail:465=2', []],
  ['--no-outbound', []],
])('with %j the app has no way to %j', (more, expected) => {
  expect(unreachableTcp(settings(more), snapshot())).toEqual(expected);
});
