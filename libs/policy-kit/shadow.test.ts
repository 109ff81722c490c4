import { makeField } from '@remora/http/header-ids';
import { driveExchange, headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { describe, expect, test } from 'vitest';
import { HOLD, WAIT, type Answer, type EdgeFilter, type Exchange, type HeldBody, type Sink } from './exchange.ts';
import { shadowed } from './shadow.ts';

const context = new TestFilterContext('meddler');
const reason = { code: 'no', status: 403, flag: 'RBAC', origin: 'policy', retry: 'never', title: 'No.' } as const;
const refusal: Answer = context.refuse(reason, '/rules/a', 'said no');
const step = { request: { method: 'GET', authority: 'orders', target: '/a?b=c', headers: { 'x-a': '1' } }, upstream: { status: 200, headers: { server: 'app' } } };

/** Changes everything that a filter can reach, and refuses. */
const meddler: EdgeFilter = {
  kind: 'meddler',
  request(x) {
    x.head.put(makeField('x-meddled', '1'));
    x.head.remove(makeField('x-a', '').id);
    x.head.setTarget('/elsewhere', '');
    x.head.setMethod('DELETE');
    x.clientAddress = '198.51.100.1';
    x.requestId = 'other';
    x.deadlineAt = 1;
    x.wantsRequestBody = 1;
    x.wantsResponseBody = 1;
    return refusal;
  },
  requestBody: (_x, next) => next,
  responseBody: (_x, next) => next,
  answer: (_x, answer) => ({ ...answer, status: 500 }),
  response(_x, head) {
    head.status = 500;
    head.put(makeField('x-meddled', '1'));
  },
};

describe('shadow', () => {
  test('lets the request and its response pass untouched, and records the verdict', () => {
    const recorded: Answer[] = [];
    const shadow = shadowed(meddler, (_x, answer) => recorded.push(answer));
    expect(driveExchange(shadow, context, step)).toEqual(driveExchange({ kind: 'nothing' }, context, step));
    expect(recorded).toEqual([refusal]);
  });

  test('restores what belongs to the exchange', () => {
    const x = makeExchange(step, context);
    const snapshot = (): object => Object.assign({}, x, { lines: headLines(x.head), token: 0 });
    const before = snapshot();
    shadowed(meddler, () => {}).request?.(x);
    expect(snapshot()).toEqual(before);
  });

  test('never shows it bodies, and leaves answers of others as they are', () => {
    const shadow = shadowed(meddler, () => {});
    expect(Object.keys(shadow).sort()).toEqual(['answer', 'kind', 'request', 'response']);
    expect(shadow.answer?.(makeExchange(step, context), refusal)).toBe(refusal);
  });

  test('a filter that waits after all can neither hold the request nor end it', () => {
    let late: (() => void) | null = null;
    const waiter: EdgeFilter = {
      kind: 'waiter',
      request(x) {
        const { token } = x;
        late = () => x.answer(token, refusal);
        return WAIT;
      },
    };
    const x: Exchange = makeExchange(step, context);
    const ended: Answer[] = [];
    x.answer = (token, answer) => void (token === x.token && ended.push(answer));
    expect(shadowed(waiter, () => expect.fail('a wait is no verdict')).request?.(x)).toBeNull();
    (late as (() => void) | null)?.();
    expect(ended).toEqual([]);
  });

  describe('with the body', () => {
    const nothing: Sink = { bind() {}, info() {}, head() {}, data: () => true, trailers() {}, reset() {} };

    function hold(decides: (x: Exchange, body: HeldBody) => Answer | null, parts: readonly string[], step2: object = step) {
      const recorded: string[] = [];
      const passed: string[] = [];
      const own = new TestFilterContext('holder');
      const filter: EdgeFilter = { kind: 'holder', holdBytes: 4, request: () => HOLD, requestHeld: decides };
      const shadow = shadowed(filter, (_x, { reason: { code }, detail }) => recorded.push(`${code}: ${detail}`), own);
      const x = makeExchange({ ...step, ...step2 }, own);
      x.token = 7;
      expect(shadow.request?.(x)).toBeNull();
      const installed = (x.wantsRequestBody & own.bodyBit) !== 0;
      x.head.setTarget('/rewritten', '');
      const sink = shadow.requestBody?.(x, { ...nothing, data: (bytes, at, to) => passed.push(Buffer.from(bytes.subarray(at, to)).toString()) > 0 });
      parts.forEach((part, i) => void sink?.data(Buffer.from(`<${part}>`), 1, 1 + part.length, i === parts.length - 1));
      return { recorded, passed, installed, x };
    }

    const say = (x: Exchange, body: HeldBody): Answer => {
      const { length, complete } = body;
      const answer = { ...refusal, detail: `${x.head.target} ${length} ${complete} ${Buffer.from(body.bytes(9)).toString()}` };
      x.head.setTarget('/meddled', '');
      x.clientAddress = '';
      return answer;
    };
    const chunked = { request: { ...step.request, bodyLength: -1 } };

    test.each<[string, readonly string[], string]>([
      ['a short one', ['abc'], 'no: /a?b=c 3 true abc'],
      ['byte after byte', ['a', 'b', 'c', ''], 'no: /a?b=c 3 true abc'],
      ['exactly what is wanted', ['abcd'], 'no: /a?b=c 4 true abcd'],
      ['a longer one', ['ab', 'cdef', 'gh'], 'no: /a?b=c 4 false abcd'],
    ])('%s passes untouched, and is looked at once, with the head as it was', (_title, parts, expected) => {
      const { recorded, passed, installed, x } = hold(say, parts, chunked);
      expect([recorded, passed, installed]).toEqual([[expected], parts, true]);
      // One for the question, none for the body: retries may be booked with it.
      expect([x.head.target, x.token, x.clientAddress]).toEqual(['/rewritten', 8, '192.0.2.10']);
    });

    test('there may be none: it decides at once', () => {
      const { recorded, installed } = hold(say, [], { request: { ...step.request, bodyLength: 0 } });
      expect([recorded, installed]).toEqual([['no: /a?b=c 0 true '], false]);
    });

    test('one that throws has refused, and the body passes', () => {
      const { recorded, passed } = hold(() => { throw new Error('bug'); }, ['abcdef'], chunked);
      expect([recorded, passed]).toEqual([['filter-failed: bug'], ['abcdef']]);
    });

    test('what it still has under way is stale', () => {
      let token = 0;
      const { x } = hold((seen) => {
        token = seen.token;
        return null;
      }, ['abcdef'], chunked);
      expect(token).not.toBe(x.token);
    });
  });

  test('a filter that throws has refused, and harms nobody', () => {
    const recorded: string[] = [];
    const broken: EdgeFilter = { kind: 'broken', request: () => { throw new Error('bug'); }, response: () => { throw new Error('bug'); } };
    const shadow = shadowed(broken, (_x, answer) => recorded.push(`${answer.reason.code}: ${answer.detail}`));
    expect(driveExchange(shadow, context, step).verdict).toBe('pass');
    expect(recorded).toEqual(['filter-failed: bug']);
  });
});
