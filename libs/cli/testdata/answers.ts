import type { AuthorityAnswer, CanaryStatusAnswer, EnforcementAnswer, ExplainAnswer, JoinTokenAnswer, NodeCertificateAnswer, RefusalAnswer, RevisionAnswer, SidecarAnswer, WhyAnswer, WriteAnswer, RevocationAnswer, RotationAnswer } from '../api-shapes.ts';

/** Answers of a control plane, for scripts. Typed by the API's own shapes, so that they cannot drift from it. */

const version = (index: number): { epoch: number; index: number } => ({ epoch: 1_763_000_000, index });

export const refusal: RefusalAnswer = {
  version: version(7), hash: 'f00d', at: '2026-11-22T11:59:30.000Z', lane: 'config', class: 'invalid',
  errors: [{ resource: 'a1b2', kind: 'fault', pointer: '', code: 'unknown-kind', message: 'this build does not know the kind fault', policies: ['payments-fail'] }],
};

export const enforced: EnforcementAnswer = {
  version: version(4), done: true, elapsedMs: 38.4, complete: true, next: null,
  counts: { total: 2, applied: 2, pending: 0, refused: 0, offline: 0, superseded: 0 },
  sidecars: [
    { nodeId: 'orders-1', subject: 'service/orders', outcome: 'applied', elapsedMs: 21, refusal: null },
    { nodeId: 'orders-2', subject: 'service/orders', outcome: 'applied', elapsedMs: 38.4, refusal: null },
  ],
};

export const refusedByOne: EnforcementAnswer = {
  version: version(7), done: true, elapsedMs: 12, complete: true, next: null,
  counts: { total: 3, applied: 1, pending: 0, refused: 1, offline: 1, superseded: 0 },
  sidecars: [
    { nodeId: 'payments-1', subject: 'service/payments', outcome: 'applied', elapsedMs: 12, refusal: null },
    { nodeId: 'payments-2', subject: 'service/payments', outcome: 'refused', elapsedMs: 9, refusal },
    { nodeId: 'payments-3', subject: 'service/payments', outcome: 'offline', elapsedMs: 0, refusal: null },
  ],
};

export const pendingOne: EnforcementAnswer = {
  version: version(8), done: false, elapsedMs: 0, complete: true, next: null,
  counts: { total: 1, applied: 0, pending: 1, refused: 0, offline: 0, superseded: 0 },
  sidecars: [{ nodeId: 'web-1', subject: 'service/web', outcome: 'pending', elapsedMs: 0, refusal: null }],
};

export const revision: RevisionAnswer = {
  revision: 4, version: version(4), at: '2026-11-22T11:58:00.000Z', author: 'ana', message: 'quicker', kind: 'documents',
  documents: [{ document: 'Policy/baseline', action: 'updated' }], documentCount: 1, grants: [],
};

export const written: WriteAnswer = {
  outcome: 'committed', revision, head: version(4), plan: '0123456789abcdef0123456789abcdef',
  changes: [
    { document: 'Policy/baseline', action: 'updated', fields: [{ pointer: '/timeout/request', before: '5s', after: '2s' }, { pointer: '/retry', after: { retries: 2 } }, { pointer: '/cors', before: { origins: ['*'] } }] },
    { document: 'Policy/extra', action: 'created', fields: [{ pointer: '/target', after: {} }] },
  ],
  subjects: ['service/orders'],
  sidecars: [{ nodeId: 'orders-1', subject: 'service/orders', connected: true }, { nodeId: 'orders-2', subject: 'service/orders', connected: false }],
  changeCount: 2, subjectCount: 1, sidecarCount: 2, guards: [], effective: null, enforcement: null,
};

/** What a dry run says of values. */
export const otherwise: NonNullable<WriteAnswer['effective']> = {
  changes: [
    { kind: 'timeout', pointer: '/timeout/request', before: '5s', after: '2s', winner: 'baseline', places: ['service/orders calling service/payments', 'service/web calling service/orders'], placeCount: 7 },
    { kind: 'retry', pointer: '/retry/retries', after: 2, winner: 'default', places: ['service/web calling service/orders'], placeCount: 1 },
  ],
  more: 3,
  defaults: 9,
};

export const sidecar: SidecarAnswer = {
  nodeId: 'orders-1', incarnation: 3, subject: 'service/orders', phase: 'in-sync', connected: true, authenticated: false, trustBundle: '', certificate: '',
  connectedSince: '2026-11-22T10:00:00.000Z', lastSeen: '2026-11-22T11:59:59.000Z', staleSince: null, address: '127.0.0.1:40001', locality: 'eu/a',
  labels: { version: 'v1' }, build: { version: '0.1.0', format: 1, id: 'abcdef0123456789', kinds: { rateLimit: 1, timeout: 1 } },
  config: { desired: version(4), desiredHash: 'aa11aa11aa11aa11', applied: version(4), appliedHash: 'aa11aa11aa11aa11', inSync: true, persisted: true, lagMs: 0 },
  state: { desired: version(9), desiredHash: 'bb', applied: version(8), appliedHash: 'cc', inSync: false, persisted: true, lagMs: 1_500 },
  lastRefusal: null, clockOffsetMs: -2, rssBytes: 88_000_000, cpuShare: 0.031, stallMs: 4, appReady: true, warming: [],
};

export const refusedSidecar: SidecarAnswer = {
  ...sidecar, nodeId: 'payments-2', subject: 'service/payments', phase: 'refused', lastRefusal: refusal,
  config: { ...sidecar.config, desired: version(7), inSync: false, lagMs: 30_000 },
};

export const offlineSidecar: SidecarAnswer = { ...sidecar, nodeId: 'web-1', subject: 'service/web', phase: 'offline', connected: false, connectedSince: null, staleSince: '2026-11-22T11:50:00.000Z', lastSeen: '2026-11-22T11:50:00.000Z' };

export const explanation: ExplainAnswer = {
  place: { owner: { kind: 'service', name: 'payments' }, caller: { kind: 'service', name: 'batch' } }, revision: 4,
  sections: [{ kind: 'timeout', value: { request: '30s' }, shadow: false }, { kind: 'rateLimit', value: {}, shadow: true }], defaults: 3,
  fields: [
    {
      pointer: '/timeout/request', value: '30s', winner: { policy: 'batch-is-patient', target: '{service: payments} from {service: batch}', strength: 7 },
      losers: [{ policy: { policy: 'baseline', target: '{}', strength: 0 }, value: '5s' }], why: 'batch-is-patient is for one service and one caller, baseline for everything.',
      bounds: [{ policy: 'baseline', text: 'at most 60s' }],
    },
    { pointer: '/timeout/connect', value: '1s', winner: 'default', losers: [], why: 'No policy sets it.', bounds: [] },
  ],
};

const nobody = { kind: '', policy: '', pointer: '', revision: null, revisionAt: null, author: null, message: null };

const noChain = { before: null, tries: [], triesLeftOut: 0, noFurther: null, hosts: null, fallback: '', held: [] };
const doras = { revision: 8, revisionAt: '2026-11-22T11:30:00.000Z', author: 'dora', message: 'orders are precious' };

export const whyAnswer: WhyAnswer = {
  requestId: '7f3a',
  refusals: [{
    nodeId: 'orders-2', subject: 'service/orders', at: '2026-11-22T11:59:48.000Z', side: 'inbound', method: 'GET', authority: 'orders', path: '/orders/1', route: '', destination: '',
    status: 429, reason: 'rate-limited', responseFlag: 'RL', detail: 'limit perPage: 1 per 1h, used up; retry in 3588s', traceId: '4bf92f3577b34da6a3ce929d0e0e4736', shadow: false, kind: 'rateLimit', policy: 'orders-are-rare',
    pointer: '/rateLimit/limits/perPage', snapshot: 9, snapshotHash: 'aa', revision: 8, revisionAt: '2026-11-22T11:30:00.000Z', author: 'dora', message: 'orders are precious',
    ...noChain,
    cause: { what: 'rate-limited: limit perPage: 1 per 1h, used up; retry in 3588s', figures: '', since: null, kind: 'rateLimit', pointer: '/rateLimit/limits/perPage', policy: 'orders-are-rare', ...doras },
  }],
  decided: 0,
  silent: ['web-1'],
};

/** A verdict in shadow, a hop whose caller went away, and the one that decided by a default. */
export const whyHops: WhyAnswer = {
  requestId: '7f3b',
  refusals: [
    ...whyAnswer.refusals.map((hop) => ({ ...hop, shadow: true, status: 0 })),
    ...whyAnswer.refusals.map((hop) => ({ ...hop, ...nobody, status: 0, reason: 'downstream-reset', responseFlag: 'DC', detail: '' })),
    ...whyAnswer.refusals.map((hop) => ({
      ...hop, ...nobody, nodeId: 'edge-1', subject: 'gateway/edge', side: 'gateway', status: 504, reason: 'upstream-timeout', responseFlag: 'UT', detail: 'the limit of 15000 ms has passed', kind: 'timeout', pointer: '/timeout/request',
      cause: { what: 'upstream-timeout: the limit of 15000 ms has passed', figures: '', since: null, ...nobody, kind: 'timeout', pointer: '/timeout/request' },
    })),
  ],
  decided: 2,
  silent: [],
};

const ejected = (host: string): WhyAnswer['refusals'][number]['held'][number] => ({
  kind: 'outlierDetection', event: 'ejected', service: 'payments', host, pointer: '/outlierDetection/consecutive5xx', policy: 'baseline', detail: 'consecutive-5xx, 5 of 5',
  since: '2026-11-22T11:59:46.000Z', until: '2026-11-22T12:00:16.000Z', ...doras,
});
const leftOut = (host: string, endpoint: string): { host: string; endpoint: string; state: string; until: string } => ({ host, endpoint, state: 'ejected', until: '2026-11-22T12:00:16.000Z' });
const passedOn = { status: 503, reason: '', responseFlag: '', detail: '', kind: '', pointer: '', policy: '', revision: null, revisionAt: null, author: null, message: null };

/** The edge passes on what orders answers, because all of payments is ejected. */
export const whyChain: WhyAnswer = {
  requestId: '7f3c',
  refusals: [
    ...whyAnswer.refusals.map((hop) => ({
      ...hop, ...passedOn, nodeId: 'edge-1', subject: 'gateway/edge', side: 'gateway', destination: 'orders', authority: 'api.shop.example', path: '/api/orders',
      tries: [{ attempt: 1, endpoint: 'orders-2', host: '10.0.0.5:8080', outcome: 'answered', status: 503, grpcStatus: -1, durationMs: 14, kind: '', pointer: '', policy: '', detail: '' }],
      noFurther: { kind: 'retry', pointer: '/retry/guard', policy: '', detail: 'the instance says that the hops behind it have tried all they may' },
      hosts: { known: 2, usable: 2, leftOut: [], leftOutMore: 0 }, cause: { what: '10.0.0.5:8080 answered 503', figures: '', since: null, ...nobody },
    })),
    ...whyAnswer.refusals.map((hop) => ({ ...hop, ...passedOn, before: 0, tries: [], cause: { what: 'answered 503', figures: '', since: null, ...nobody } })),
    ...whyAnswer.refusals.map((hop) => ({
      ...hop, before: 1, side: 'outbound', destination: 'payments', authority: 'payments', path: '/pay', status: 503, reason: 'no-healthy-upstream', responseFlag: 'UH', detail: '', ...nobody, snapshot: 41,
      tries: [
        { attempt: 1, endpoint: 'payments-3', host: '10.0.0.7:8080', outcome: 'answered', status: 503, grpcStatus: -1, durationMs: 3.2, kind: '', pointer: '', policy: '', detail: '' },
        { attempt: 2, endpoint: '', host: '', outcome: 'no-healthy-upstream', status: 0, grpcStatus: -1, durationMs: 0, kind: '', pointer: '', policy: '', detail: '' },
      ],
      noFurther: { kind: 'retry', pointer: '', policy: '', detail: 'another attempt would meet the same' },
      hosts: { known: 3, usable: 0, leftOut: [leftOut('10.0.0.7:8080', 'payments-3'), leftOut('10.0.0.8:8080', 'payments-1'), leftOut('10.0.0.9:8080', '10.0.0.9:8080')], leftOutMore: 0 },
      held: [ejected('10.0.0.7:8080'), ejected('10.0.0.8:8080')],
      cause: { what: '3 of 3 hosts ejected', figures: 'consecutive-5xx, 5 of 5', since: '2026-11-22T11:59:48.000Z', kind: 'outlierDetection', pointer: '/outlierDetection/consecutive5xx', policy: 'baseline', ...doras },
    })),
  ],
  decided: 2,
  silent: [],
};

export const joinToken: JoinTokenAnswer = { id: 'k3x9q2m7ab01', subject: 'service/orders', state: 'good', createdAt: '2026-11-22T11:55:00.000Z', expiresAt: '2026-11-22T12:30:00.000Z', author: 'ana', uses: 1, used: 0 };

const root: AuthorityAnswer['issuer'] = {
  subject: 'CN=Remora shop.example', issuer: 'CN=Remora shop.example', serial: '4F', fingerprint: 'AA:BB', pin: 'qrs', from: '2026-11-01T00:00:00.000Z', ends: '2036-11-01T00:00:00.000Z',
  pem: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n',
};

export const rotation: RotationAnswer = {
  stage: 'add', startedAt: '2026-11-22T11:00:00.000Z', changedAt: '2026-11-22T11:00:00.000Z', window: '600s', total: 40, holdBundle: 37, ofSigner: 40,
  laggards: [
    { nodeId: 'orders-1', subject: 'service/orders', connected: true, lastSeen: '2026-11-22T11:59:00.000Z', lacks: 'bundle' },
    { nodeId: 'orders-2', subject: 'service/orders', connected: false, lastSeen: '2026-11-22T09:00:00.000Z', lacks: 'bundle' },
    { nodeId: 'web-1', subject: 'service/web', connected: false, lastSeen: '', lacks: 'bundle' },
  ],
  laggardCount: 3, oldTokens: 1, signs: 'a'.repeat(64), roots: ['a'.repeat(64), 'b'.repeat(64)],
};

export const revocation: RevocationAnswer = {
  id: 'c0ffee123456', subject: 'service/orders', nodeId: 'orders-1', reason: 'the disk was stolen', author: 'ana', revokedAt: '2026-11-22T11:00:00.000Z', ends: '2026-11-25T11:00:00.000Z',
};

export const authority: AuthorityAnswer = {
  trustDomain: 'shop.example', source: 'generated', encrypted: false, issuer: root, roots: [root], ends: root.ends, nodes: 2,
  problem: 'the Mesh document names the trust domain other.example; certificates were issued in shop.example, which stays',
};

export const nodeCertificate: NodeCertificateAnswer = {
  nodeId: 'orders-1', subject: 'service/orders', how: 'join', serial: '4F01', issuedAt: '2026-11-22T11:00:00.000Z', ends: '2026-11-25T11:00:00.000Z', recoverUntil: '2026-12-25T11:00:00.000Z', token: 'k3x9q2m7ab01',
};

export const credential = {
  id: 'k3x9q2m7ab01', consumer: 'app', kind: 'apiKey', state: 'good', createdAt: '2026-11-22T11:00:00.000Z', expiresAt: '2027-02-20T11:00:00.000Z', author: 'ana', known: 'rk_abcdefgh…', algorithm: null, issuer: null,
};

export const secret = {
  name: 'api-cert', state: 'good', source: 'literal', version: '7f3c2b1e00000000', bytes: 3072, createdAt: '2026-11-22T11:00:00.000Z', changedAt: '2026-11-22T11:00:00.000Z', readAt: null, author: 'ana', problem: null,
  usedBy: ['gateway/edge'], referredBy: ['Gateway/edge'],
};

/** A canary whose second step holds for its time. */
export const canaryStatus: CanaryStatusAnswer = {
  canary: 'orders-v2', service: 'orders', routes: ['orders-v2'], ownRoute: true, phase: 'running', paused: false, step: 2, steps: 4, weight: 25,
  since: '2026-11-22T11:58:00.000Z', startedAt: '2026-11-22T11:52:00.000Z', endedAt: null,
  now: { action: 'hold', because: 'time', sentence: '480 s of 600 s are left' },
  candidate: { labels: { version: 'v2' }, requests: 2_512, errors: 3, errorShare: 3 / 2_512, p99Ms: 21.4 },
  stable: { labels: { version: 'v1' }, requests: 7_401, errors: 0, errorShare: 0, p99Ms: 18.7 },
  reportedAt: '2026-11-22T11:59:57.000Z',
  gates: [
    { gate: 'errorRate', outcome: 'held', candidate: 3 / 2_512, stable: 0, limit: 0.01, sentence: 'errors 0.12 % of 2512, stable 0 % of 7401: within 1 % above' },
    { gate: 'p99', outcome: 'held', candidate: 21.4, stable: 18.7, limit: 1.3, sentence: 'p99 21.4 ms, stable 18.7 ms: within 1.3 times' },
  ],
  verdict: null, blocked: '',
  decisions: [
    { at: '2026-11-22T11:58:00.000Z', step: 1, weight: 5, action: 'advance', because: 'passed', sentence: 'errors 0 % of 700, stable 0 % of 13300: within 1 % above', by: '', gates: [], candidate: { requests: 700, errors: 0, errorShare: 0, p99Ms: 20 }, stable: { requests: 13_300, errors: 0, errorShare: 0, p99Ms: 19 } },
    { at: '2026-11-22T11:53:00.000Z', step: 1, weight: 5, action: 'hold', because: 'too-few', sentence: 'the candidate had 12 of 500 requests', by: '', gates: [], candidate: null, stable: null },
    { at: '2026-11-22T11:52:00.000Z', step: 1, weight: 5, action: 'advance', because: 'started', sentence: 'begins', by: '', gates: [], candidate: null, stable: null },
  ],
};
