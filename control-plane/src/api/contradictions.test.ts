import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

const base = `
{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [payments, payments-b]}
---
{kind: Service, name: payments, ports: {http: {port: 80}}}
---
{kind: Service, name: payments-b, ports: {http: {port: 80}}}
---
{kind: Gateway, name: edge, listeners: {plain: {port: 80}}}
`;

const policy = (sections: string, target = '{service: payments}'): string => `{kind: Policy, name: p, target: ${target}, ${sections}}`;

/** What cannot be meant is refused where it is written: with the field, why, and what would do. Beside each, what is close to it and right. */
const cases: readonly { readonly what: string; readonly wrong: string; readonly says: string; readonly right: string }[] = [
  { what: 'a try longer than its request', wrong: policy('timeout: {request: 1s, perTry: 2s}'), says: '/timeout/perTry contradiction', right: policy('timeout: {request: 1s, perTry: 1s}') },
  { what: 'a hedge after the end of its request', wrong: policy('timeout: {request: 1s}, hedging: {delay: 1s}'), says: '/hedging/delay contradiction', right: policy('timeout: {request: 1s}, hedging: {delay: 999ms}') },
  { what: 'a hedge by quantile after the end of its request', wrong: policy('timeout: {request: 20ms}, hedging: {quantile: 0.95, minDelay: 30ms}'), says: '/hedging/minDelay contradiction', right: policy('timeout: {request: 0s}, hedging: {quantile: 0.95, minDelay: 30ms}') },
  { what: 'a hedge by two rules', wrong: policy('hedging: {delay: 10ms, quantile: 0.95}'), says: '/hedging/delay contradiction', right: policy('hedging: {delay: 10ms}') },
  { what: 'a hedge without retries to pay for it', wrong: policy('hedging: {delay: 10ms}, retry: {enabled: false}'), says: '/hedging contradiction', right: policy('hedging: {delay: 10ms}, retry: {retries: 0}') },
  {
    what: 'a hedge from an empty budget', wrong: policy('hedging: {delay: 10ms}, retry: {retries: 0, budget: {ratio: 0, minPerSecond: 0}}'), says: '/hedging contradiction',
    right: policy('hedging: {delay: 10ms}, retry: {retries: 0, budget: {ratio: 0, minPerSecond: 1}}'),
  },
  { what: 'a budget that never allows a retry', wrong: policy('retry: {budget: {ratio: 0, minPerSecond: 0}}'), says: '/retry/budget contradiction', right: policy('retry: {retries: 0, budget: {ratio: 0, minPerSecond: 0}}') },
  { what: 'conditions of retries that are switched off', wrong: policy('retry: {retries: 0, retryOn: [503]}'), says: '/retry/retryOn contradiction', right: policy('retry: {retries: 1, retryOn: [503]}') },
  { what: 'a back-off that ends before it begins', wrong: policy('retry: {backoff: {base: 1s, max: 100ms}}'), says: '/retry/backoff/max contradiction', right: policy('retry: {backoff: {base: 100ms, max: 1s}}') },
  { what: 'more retries than requests', wrong: policy('circuitBreaker: {thresholds: {requests: 5, retries: 6}}'), says: '/circuitBreaker/thresholds/retries contradiction', right: policy('circuitBreaker: {thresholds: {requests: 6, retries: 6}}') },
  { what: 'retries that no bound lets through', wrong: policy('retry: {retries: 1}, circuitBreaker: {thresholds: {retries: 0}}'), says: '/circuitBreaker/thresholds/retries contradiction', right: policy('retry: {retries: 0}, circuitBreaker: {thresholds: {retries: 0}}') },
  { what: 'a window that never has its minimum', wrong: policy('circuitBreaker: {failureRate: 50%, window: 10, minimumCalls: 11}'), says: '/circuitBreaker/minimumCalls contradiction', right: policy('circuitBreaker: {failureRate: 50%, window: 10, minimumCalls: 10}') },
  { what: 'failures where nothing is one', wrong: policy('circuitBreaker: {consecutiveFailures: 5, failOn: []}'), says: '/circuitBreaker/failOn contradiction', right: policy('circuitBreaker: {slowCallRate: 50%, failOn: []}') },
  { what: 'slow calls that end before they are slow', wrong: policy('timeout: {request: 1s}, circuitBreaker: {slowCallRate: 50%, slowCall: 2s}'), says: '/circuitBreaker/slowCall contradiction', right: policy('timeout: {request: 1s}, circuitBreaker: {slowCallRate: 50%, slowCall: 1s}') },
  { what: 'a breaker that opens for longer than it may', wrong: policy('circuitBreaker: {open: {base: 5s, max: 1s}}'), says: '/circuitBreaker/open/max contradiction', right: policy('circuitBreaker: {open: {base: 5s, max: 5s}}') },
  { what: 'an ejection of nobody', wrong: policy('outlierDetection: {maxEjected: 0%}'), says: '/outlierDetection/maxEjected contradiction', right: policy('outlierDetection: {maxEjected: 1%}') },
  { what: 'a first ejection longer than the longest', wrong: policy('outlierDetection: {baseEjection: 2m, maxEjection: 1m}'), says: '/outlierDetection/maxEjection contradiction', right: policy('outlierDetection: {baseEjection: 1m, maxEjection: 1m}') },
  { what: 'a detector that another one always beats', wrong: policy('outlierDetection: {consecutive5xx: 3, consecutiveGatewayErrors: 3}'), says: '/outlierDetection/consecutiveGatewayErrors contradiction', right: policy('outlierDetection: {consecutive5xx: 3, consecutiveGatewayErrors: 2}') },
  { what: 'a check that is due before it has ended', wrong: policy('healthCheck: {interval: 1s, timeout: 2s}'), says: '/healthCheck/timeout contradiction', right: policy('healthCheck: {interval: 2s, timeout: 2s}') },
  { what: 'a check of a port that is not there', wrong: policy('healthCheck: {port: admin}'), says: '/healthCheck/port unknown-port', right: policy('healthCheck: {port: http}') },
  { what: 'a mode of a port that is not there', wrong: policy('mtls: {ports: {htpp: strict}}'), says: '/mtls/ports/htpp unknown-port', right: policy('mtls: {ports: {http: permissive}}') },
  { what: 'a body of an answer that has none', wrong: policy('healthCheck: {http: {method: HEAD, bodyContains: ok}}'), says: '/healthCheck/http/bodyContains contradiction', right: policy('healthCheck: {http: {method: GET, bodyContains: ok}}') },
  { what: 'keys of nothing', wrong: policy('loadBalancing: {algorithm: ringHash}'), says: '/loadBalancing/hash/by missing-field', right: policy('loadBalancing: {algorithm: ringHash, hash: {by: [header.x-user]}}') },
  { what: 'sessions over keys', wrong: policy('loadBalancing: {algorithm: ringHash, hash: {by: [header.x-user]}, sticky: {cookie: session}}'), says: '/loadBalancing/sticky/cookie contradiction', right: policy('loadBalancing: {algorithm: ringHash, hash: {by: [cookie.session]}}') },
  { what: 'slow starts of hosts with keys', wrong: policy('loadBalancing: {algorithm: maglev, hash: {by: [clientAddress]}, slowStart: {window: 30s}}'), says: '/loadBalancing/slowStart/window contradiction', right: policy('loadBalancing: {slowStart: {window: 30s}}') },
  { what: 'a fallback to itself', wrong: policy('fallback: {to: {service: payments}}'), says: '/fallback/to/service contradiction', right: policy('fallback: {to: {service: payments, labels: {version: v1}}}') },
  { what: 'a mirror to itself', wrong: policy('mirror: {to: {service: payments}}'), says: '/mirror/to/service contradiction', right: policy('mirror: {to: {service: payments-b}}') },
  { what: 'a mirror of nothing', wrong: policy('mirror: {to: {service: payments-b}, ratio: 0%}'), says: '/mirror/ratio contradiction', right: policy('mirror: {to: {service: payments-b}, ratio: 1%}') },
  { what: 'a fallback without anything', wrong: policy('fallback: {}'), says: '/fallback empty-section', right: policy('fallback: {answer: {status: 200}}') },
  { what: 'an answer larger than all that are kept', wrong: policy('fallback: {stale: {bytes: 1MiB, bodyMax: 2MiB}}'), says: '/fallback/stale/bodyMax contradiction', right: policy('fallback: {stale: {bytes: 2MiB, bodyMax: 2MiB}}') },
  { what: 'places below the fewest', wrong: policy('concurrency: {minLimit: 10, maxLimit: 5}'), says: '/concurrency/maxLimit contradiction', right: policy('concurrency: {minLimit: 5, maxLimit: 20, limit: 10}') },
  { what: 'a priority of no share', wrong: policy('concurrency: {priorities: {low: {share: 0%, match: {methods: [GET]}}}}'), says: '/concurrency/priorities/low/share contradiction', right: policy('concurrency: {priorities: {low: {share: 10%, match: {methods: [GET]}}}}') },
  { what: 'connections that never get old', wrong: policy('connectionPool: {maxAge: 10ms}'), says: '/connectionPool/maxAge out-of-range', right: policy('connectionPool: {maxAge: 1s}') },
  { what: 'what Routes share, for one Route', wrong: policy('outlierDetection: {minHosts: 3}', '{service: payments, route: r}'), says: '/outlierDetection not-available', right: policy('outlierDetection: {minHosts: 3}') },
  { what: 'a limit of the fleet without a store', wrong: policy('rateLimit: {limits: {all: {requests: 5, per: 1m, sharedBy: fleet}}}'), says: '/rateLimit/limits/all/sharedBy no-store', right: policy('rateLimit: {limits: {all: {requests: 5, per: 1m, sharedBy: service}}}') },
  { what: 'a service of no hosts', wrong: '{kind: Service, name: x, ports: {http: {port: 80}}, endpoints: []}', says: '/endpoints too-few', right: '{kind: Service, name: x, ports: {http: {port: 80}}}' },
  {
    what: 'endpoints that all weigh nothing', wrong: '{kind: Service, name: x, ports: {http: {port: 80}}, endpoints: [{address: 10.0.0.1, weight: 0}, {address: 10.0.0.2, weight: 0}]}', says: '/endpoints zero-weights',
    right: '{kind: Service, name: x, ports: {http: {port: 80}}, endpoints: [{address: 10.0.0.1, weight: 0}, {address: 10.0.0.2}]}',
  },
  {
    what: 'destinations that all weigh nothing', wrong: '{kind: Route, name: r, gateway: edge, match: {path: {prefix: /}}, to: [{service: web, weight: 0}, {service: payments, weight: 0}]}', says: '/to zero-weights',
    right: '{kind: Route, name: r, gateway: edge, match: {path: {prefix: /}}, to: [{service: web, weight: 0}, {service: payments}]}',
  },
];

describe('settings that contradict each other', () => {
  let api: ApiFixture;
  beforeAll(async () => {
    api = await startApi();
    await api.apply(base);
  });
  afterAll(() => api.close());

  const said = async (text: string): Promise<string[]> => {
    const { status, body } = await api.call('POST', '/v1/apply?dryRun=true', { body: text });
    const violations = (body.violations ?? []) as readonly { readonly pointer: string; readonly code: string; readonly message: string }[];
    for (const { message } of violations) expect(message).not.toBe('');
    return status === 200 ? [] : [...new Set(violations.map(({ pointer, code }) => `${pointer} ${code}`))];
  };

  test.each(cases)('$what: refused with its field', async ({ wrong, says, right }) => {
    expect(await said(wrong)).toEqual([says]);
    expect(await said(right)).toEqual([]);
  });

  test('what two policies say together is refused at the one that is written, and named', async () => {
    await api.apply('{kind: Policy, name: hedge, target: {}, hedging: {delay: 2s}}');
    const { body } = await api.call('POST', '/v1/apply', { body: '{kind: Policy, name: quick, target: {service: payments}, timeout: {request: 1s}}' });
    expect(body.violations).toMatchObject([{ document: 'Policy/hedge', pointer: '/hedging/delay', code: 'contradiction', expected: 'less than 1s' }]);
    expect(body.violations[0].message).toBe('delay (2s) is not shorter than timeout.request (1s): the request has ended before a hedge is made, for service/payments, service/payments called by service/web');
    await api.apply('{kind: Policy, name: quick, target: {service: payments}, timeout: {request: 1s}, hedging: {enabled: false}}');
  });
});
