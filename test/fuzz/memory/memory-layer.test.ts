import { once } from 'node:events';
import { expect, test } from 'vitest';
import { Http1RequestTrial } from '../http1/request-trial.ts';
import { UpgradeTrial } from '../upgrades/upgrade-trial.ts';
import { MemoryLayer } from './memory-layer.ts';
import { MemoryNetwork } from './memory-network.ts';

test.each([
  ['requests', Http1RequestTrial.start, undefined], ['upgrades', UpgradeTrial.start, undefined],
  ['requests over HTTP/1.1', Http1RequestTrial.start, 'http/1.1'], ['upgrades over HTTP/2', UpgradeTrial.start, 'h2c'],
] as const)('what happens to %s follows from the seed alone', async (name, start, between) => {
  const runs: string[] = [];
  for (let run = 0; run < 2; run++) {
    const layer = new MemoryLayer({ name, noun: 'cases', parallel: 8, witnessed: false, ...(between && { between }), start: (transport) => start(name, transport) });
    await layer.begin();
    expect(await layer.round(4711)).toEqual([]);
    runs.push((await layer.end()).summary);
  }
  expect(runs[0]).toMatch(/^8 cases \(\d/);
  expect(runs[1]).toBe(runs[0]);
});

test('a network in memory delivers segments as they were written, and tells ends and breaks as sockets do', async () => {
  const network = new MemoryNetwork();
  const { port } = await network.listen((socket) => {
    socket.on('data', (bytes: Buffer) => {
      if (bytes.toString() === 'break') socket.resetAndDestroy();
      else socket.write(bytes);
    });
    socket.once('end', () => socket.end());
    socket.on('error', () => {});
  });
  const client = await network.connect(port);
  const heard: string[] = [];
  client.on('data', (bytes: Buffer) => heard.push(bytes.toString()));
  client.write('one');
  client.write('two');
  client.end();
  const [failed] = await once(client, 'close') as [boolean];
  expect([heard, failed]).toEqual([['one', 'two'], false]);

  const broken = await network.connect(port);
  broken.resume();
  broken.write('break');
  const [error] = await once(broken, 'error') as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
  await expect(network.connect(9999)).rejects.toThrow('ECONNRESET');
});
