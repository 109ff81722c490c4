import type { Head } from '@remora/http/head';
import { MessageHead } from '@remora/http/message-head';
import type { Sink } from '@remora/policy-kit/exchange';
import { expect, it } from 'vitest';
import { SwitchJoint } from './switch-joint.ts';

function recorder(name: string, told: string[]): Sink {
  return {
    bind: () => void told.push(`${name} bind`),
    info: () => void told.push(`${name} info`),
    head: (head: Head) => void told.push(`${name} head ${head.status}`),
    data: (_bytes, at, to) => {
      told.push(`${name} data ${to - at}`);
      return true;
    },
    trailers: () => void told.push(`${name} trailers`),
    reset: () => void told.push(`${name} reset`),
  };
}

function answer(status: number, protocol: string): MessageHead {
  const head = new MessageHead();
  head.status = status;
  head.protocol = protocol;
  return head;
}

it.each([
  ['an ordinary answer passes the filters of bodies', answer(403, ''), ['filters bind', 'filters info', 'filters head 403', 'filters data 3']],
  ['a switch and its tunnel go past them', answer(200, 'websocket'), ['filters bind', 'filters info', 'tunnel bind', 'tunnel head 200', 'tunnel data 3']],
])('%s', (_what, head, expected) => {
  const told: string[] = [];
  const joint = new SwitchJoint(recorder('filters', told), recorder('tunnel', told));
  joint.bind({ resume: () => {}, stop: () => {} });
  joint.info(answer(103, ''));
  joint.head(head, false);
  joint.data(Buffer.alloc(3), 0, 3, false);
  expect(told).toEqual(expected);
});
