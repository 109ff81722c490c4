import { expect, test } from 'vitest';
import { UpstreamRoom } from './upstream-room.ts';

test('clients and upstreams together are as many as may be; an idle connection gives way to another', () => {
  let [clients, idle] = [2, 1];
  const room = new UpstreamRoom({ max: 4, clients: () => clients, closeIdle: () => idle-- > 0 });
  expect(room.takes()).toBe(true);
  room.open = 2;
  expect([room.takes(), room.takes()]).toEqual([true, false]);
  clients = 1;
  expect(room.takes()).toBe(true);
});
