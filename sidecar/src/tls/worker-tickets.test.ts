import { randomBytes } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { TestAuthority } from '@remora/testing/test-authority';
import { WorkerDataPlane } from '../threads/worker-data-plane.ts';
import { visit } from './testdata/tls-rig.ts';

const authority = new TestAuthority();
let plane: WorkerDataPlane | null = null;

afterEach(async () => {
  await plane?.close();
});

it('a ticket of one data thread is taken by all, until the secret is rotated in all', async () => {
  const subject = { kind: 'gateway', name: 'edge' } as const;
  plane = await WorkerDataPlane.start({ workers: 2, subject, withoutKinds: [] });
  const { cert, key } = authority.issue({ dns: ['a.test'] });
  const files = new Map([['/a.crt', cert], ['/a.key', key]]);
  await plane.useTlsMaterial({ files, ticketSecret: randomBytes(32) });
  const candidate = new CandidateBuilder(subject).listener({ name: 'secure', protocol: 'https', tls: { certificates: [{ certFile: '/a.crt', keyFile: '/a.key' }] } }).build();
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
  const [bound] = await plane.listen([{ name: 'gateway/secure', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'secure' }]);
  const port = bound?.port ?? 0;
  const { session } = await visit(port, { servername: 'a.test' });
  const resumed = (): Promise<boolean[]> => Promise.all(Array.from({ length: 12 }, () => visit(port, { servername: 'a.test', ...(session && { session }) }).then(({ reused }) => reused)));
  expect(new Set(await resumed())).toEqual(new Set([true]));
  const { threads } = (await plane.describe()) as { threads: { listeners: { accepted: number }[] }[] };
  expect(threads.every(({ listeners }) => (listeners[0]?.accepted ?? 0) > 0)).toBe(true);
  await plane.useTlsMaterial({ files, ticketSecret: randomBytes(32) });
  expect(new Set(await resumed())).toEqual(new Set([false]));
});
