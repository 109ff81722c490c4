import { makeField } from '@remora/http/header-ids';
import { driveExchange, headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { describe, expect, test } from 'vitest';
import { WAIT, type Answer, type EdgeFilter, type Exchange } from './exchange.ts';
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

  test('a filter that throws has refused, and harms nobody', () => {
    const recorded: string[] = [];
    const broken: EdgeFilter = { kind: 'broken', request: () => { throw new Error('bug'); }, response: () => { throw new Error('bug'); } };
    const shadow = shadowed(broken, (_x, answer) => recorded.push(`${answer.reason.code}: ${answer.detail}`));
    expect(driveExchange(shadow, context, step).verdict).toBe('pass');
    expect(recorded).toEqual(['filter-failed: bug']);
  });
});
