import { afterEach, describe, expect, it } from 'vitest';
import { WireEnd, WireUpstream } from '@remora/testing/wire-end';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Case {
  readonly what: string;
  readonly rig: Partial<RigOptions>;
  readonly request: string;
  readonly answer?: string;
  readonly expected: { readonly reason: string; readonly kind: string; readonly pointer: string; readonly policy: string };
}

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const refusal = (reason: string, kind: string, pointer: string, policy: string): Case['expected'] => ({ reason, kind, pointer, policy });

describe('a limit that the data path enforces names its field and who set it', () => {
  it.each<Case>([
    { what: 'no answer', rig: { timeouts: { request: '300ms' } }, request: get, expected: refusal('upstream-timeout', 'timeout', '/request', 'sets-request') },
    {
      what: 'no answer to one try', rig: { timeouts: { request: '5s', perTry: '300ms' }, retries: { retries: 0 } }, request: get,
      expected: refusal('upstream-timeout', 'timeout', '/perTry', 'sets-perTry'),
    },
    {
      what: 'silence within the answer', rig: { timeouts: { idle: '300ms' } }, request: get, answer: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf',
      expected: refusal('stream-idle', 'timeout', '/idle', 'sets-idle'),
    },
    {
      what: 'an answer that lasts', rig: { timeouts: { maxStream: '300ms' } }, request: get, answer: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf',
      expected: refusal('max-stream-duration', 'timeout', '/maxStream', 'sets-maxStream'),
    },
    {
      what: 'the deadline of a trusted caller', rig: { timeouts: { request: '5s' }, trustedProxies: ['127.0.0.0/8'] },
      request: 'GET / HTTP/1.1\r\nHost: a\r\nX-Remora-Deadline: 300\r\n\r\n', expected: refusal('upstream-timeout', '', '', ''),
    },
    {
      what: 'a head that drips', rig: { limits: { headerTimeout: '300ms' } }, request: 'GET / HTTP/1.1\r\n',
      expected: refusal('request-timeout', 'requestLimits', '/headerTimeout', 'sets-headerTimeout'),
    },
    {
      what: 'a body that stops', rig: { limits: { bodyTimeout: '300ms' } }, request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf',
      expected: refusal('request-timeout', 'requestLimits', '/bodyTimeout', 'sets-bodyTimeout'),
    },
    {
      what: 'too many fields', rig: { limits: { headerCount: 2 } }, request: 'GET / HTTP/1.1\r\nHost: a\r\nb: 1\r\nc: 2\r\n\r\n',
      expected: refusal('headers-too-large', 'requestLimits', '/headerCount', 'sets-headerCount'),
    },
    {
      what: 'too many bytes', rig: { limits: { headerBytes: '1KiB' } }, request: `GET / HTTP/1.1\r\nHost: a\r\nb: ${'x'.repeat(2000)}\r\n\r\n`,
      expected: refusal('headers-too-large', 'requestLimits', '/headerBytes', 'sets-headerBytes'),
    },
    {
      what: 'a default that nobody set', rig: { limits: { headerCount: 50 } }, request: `GET / HTTP/1.1\r\nHost: a\r\nb: ${'x'.repeat(70_000)}\r\n\r\n`,
      expected: refusal('headers-too-large', 'requestLimits', '/headerBytes', ''),
    },
  ])('$what', async ({ rig, request, answer, expected }) => {
    const up = await WireUpstream.start(async (end) => {
      await end.message('request', 1);
      if (answer !== undefined) end.send(answer);
    });
    closers.push(() => up.close());
    const gateway = await GatewayRig.start({ upstreams: [up.port], ...rig });
    closers.push(() => gateway.close());
    const end = await WireEnd.connect(gateway.port);
    closers.push(() => end.close());
    end.send(request);
    await expect.poll(() => { gateway.plane.readSeries(); return gateway.refusals; }, { timeout: 30_000 }).toMatchObject([expected]);
  });
});
