import { describe, expect, test } from 'vitest';
import { Choice } from './choice.ts';
import { readAnswers } from './http1/answer-reader.ts';
import { generateConversation } from './http1/conversation.ts';
import { echoBody, digest } from './http1/echo-upstream.ts';
import { judgeOutcome, type Outcome } from './http1/exchange-verdict.ts';
import { planOf } from './http1/plan.ts';
import { generateStreams } from './http2/stream-generator.ts';
import { chooseCuts, cutAt } from './segmentation.ts';
import { shrink } from './shrink.ts';
import { difference, type Account } from './witness/account.ts';
import { NodeWitness } from './witness/node-witness.ts';

/** A fuzzer whose oracles see nothing passes everything: here they are shown faults, one each. */
describe('the oracles', () => {
  const [one, other] = ['aaaaaaaa00000003', 'aaaaaaaa00000009'];
  const request = (token: string): string => `GET /t/${token} HTTP/1.1\r\nHost: app\r\nX-Token: ${token}\r\n\r\n`;
  const answer = (token: string, more = ''): string => `HTTP/1.1 200 OK\r\nx-token: ${token}\r\nx-read: ${digest('')}\r\nx-twice: a\r\nx-twice: b\r\n${more}content-length: ${echoBody(token)?.length}\r\n\r\n${echoBody(token)}`;
  const refusal = 'HTTP/1.1 400 Bad Request\r\nx-remora-origin: remora\r\nx-remora-reason: bad-request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n';
  const seen = (token: string, headers: readonly (readonly [string, string])[] = [['host', 'app'], ['x-token', token]]): Outcome['complete'][number] => ({ token, method: 'GET', target: `/t/${token}`, headers, body: '', trailers: [] });

  function judge(sent: string, received: string, complete: Outcome['complete'], ended: 'end' | 'reset' = 'end'): string {
    const plan = planOf(Buffer.from(sent));
    return judgeOutcome({
      conversation: { prefix: 'aaaaaaaa', requests: [], text: sent, valid: false }, plan, ended, complete, begun: complete.map(({ token }) => token),
      read: readAnswers(received, plan.requests.map(({ method }) => method), true),
    });
  }

  test('pass what is right', () => {
    expect(judge(request(one) + request(other), answer(one) + answer(other), [seen(one), seen(other)])).toBe('');
    expect(judge(`${request(one)}GET / HTTP/1.1\n\n`, answer(one) + refusal, [seen(one)])).toBe('');
  });

  test.each([
    ['answers in another order', request(one) + request(other), answer(other) + answer(one), [seen(one), seen(other)], /is for/],
    ['an answer to what is no request', 'GET / HTTP/1.1\n\n', answer(one), [seen(one)], /only 0 requests/],
    ['a request that reached the upstream behind a refusal', `GET / HTTP/1.1\n\n${request(one)}`, refusal, [seen(one)], /the upstream read/],
    ['a lost answer', request(one), '', [seen(one)], /no answer to request 0/],
    ['a changed field', request(one), answer(one), [seen(one, [['host', 'app'], ['x-token', other]])], /headers/],
    ['a field that was added', request(one), answer(one), [seen(one, [['host', 'app'], ['x-token', one], ['x-evil', '1']])], /headers/],
    ['another body', request(one), answer(one).replace('answer to', 'ANSWER TO'), [seen(one)], /another body/],
    ['two lengths', request(one), answer(one, 'content-length: 1\r\n'), [seen(one)], /cannot read/],
    ['a request without an answer', request(one) + request(other), answer(one), [seen(one)], /no answer to request 1/],
    ['an upstream that is blamed', request(one), refusal.replace('400 Bad Request', '504 Timeout').replace('bad-request', 'upstream-timeout'), [], /got 504 upstream-timeout/],
    ['something behind the end', request(one), `${answer(one, 'connection: close\r\n')}${answer(one)}`, [seen(one)], /only 1 requests/],
  ] as const)('see %s', (_, sent, received, complete, problem) => {
    expect(judge(sent, received, complete)).toMatch(problem);
  });

  test('see where two parsers differ', () => {
    const base: Account = { complaint: '', requests: [{ method: 'GET', target: '/', headers: [['a', '1'], ['b', '2'], ['a', '3']], body: 'x', trailers: [] }] };
    const change = (part: object): Account => ({ ...base, requests: base.requests.map((each) => ({ ...each, ...part })) });
    expect(difference(base, change({ headers: [['b', '2'], ['a', '1'], ['a', '3']], trailers: null }), new Set())).toBe('');
    expect(difference(base, change({ headers: [['a', '3'], ['b', '2'], ['a', '1']] }), new Set())).toContain('headers');
    expect(difference(base, change({ body: 'y' }), new Set())).toContain('body');
    expect(difference(base, change({ trailers: [['t', '1']] }), new Set())).toContain('trailers');
    expect(difference(base, { ...base, requests: [] }, new Set())).toContain('1 | 0 requests');
    expect(difference(base, { ...base, complaint: '400' }, new Set())).toContain('complaints');
  });

  test('hear Node on a stream that ends within a message', async () => {
    const witness = new NodeWitness();
    const [whole, broken] = await witness.read([Buffer.from(request(one) + request(other)), Buffer.from(`${request(one)}POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab`)]);
    expect([whole?.requests.length, whole?.complaint, broken?.requests.length, broken?.complaint]).toEqual([2, '', 1, '']);
    await witness.close();
  });

  test('know that Node says nothing of what follows an upgrade', async () => {
    const witness = new NodeWitness();
    const [account] = await witness.read([Buffer.from(request(one).replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n') + request(other))]);
    expect([account?.requests.length, account?.complaint, account?.requests.some((each) => witness.mayRefuse(each))]).toEqual([1, '', true]);
    await witness.close();
  });
});

describe('the generators', () => {
  test('make the same of the same seed', () => {
    for (let seed = 0; seed < 50; seed++) {
      expect(generateConversation(seed).text).toBe(generateConversation(seed).text);
      expect(generateStreams(seed).bytes.equals(generateStreams(seed).bytes)).toBe(true);
    }
  });

  test('cut without losing a byte', () => {
    for (let seed = 0; seed < 200; seed++) {
      const bytes = Buffer.from(generateConversation(seed).text, 'latin1');
      expect(Buffer.concat(cutAt(bytes, chooseCuts(new Choice(seed), bytes))).equals(bytes)).toBe(true);
    }
  });

  test('shrink to what fails', () => {
    expect(Buffer.from(shrink(Buffer.from('aaaaXaaaaaYaaaa'), (bytes) => bytes.includes(88) && bytes.includes(89))).toString()).toBe('XY');
  });
});
