import { canonicalPath } from '@remora/http/canonical-path';
import { buildRequestHead } from '@remora/http/head-builder';
import type { MessageHead } from '@remora/http/message-head';
import { consumerDirectory } from '@remora/policy-kit/consumer-directory';
import { Exchange, HOLD, WAIT, type Answer, type ConnectionFacts, type EdgeFilter, type Verdict } from '@remora/policy-kit/exchange';
import { noBody } from '@remora/policy-kit/no-body';
import { OwnTrustDomain } from '@remora/policy-kit/own-trust-domain';
import { RequestIdentity, credentialKinds, type CredentialKind } from '@remora/policy-kit/request-identity';
import { shadowed } from '@remora/policy-kit/shadow';
import { undecided } from '@remora/router/route-table';
import { policiesBehind, type EffectiveSection } from '@remora/snapshot/effective-settings';
import type { RequestQuestion } from '../threads/data-plane.ts';
import type { Generation } from '../generation/generation.ts';
import { LiveStates } from '../generation/live-state.ts';
import type { ProviderPort, ProviderRoute } from '../generation/places.ts';
import { connectionHead } from './connection-head.ts';
import { PlaceFilterContext, SlotCounter, type FilterHost } from './filter-context.ts';
import type { ExchangeTimer } from './filter-timers.ts';
import { removeOutsideHeaders } from './outside-headers.ts';

/**
 * Whether a request would be let in, by whom, and what decides: the kinds that know who asks and who may are built anew from what is enforced here, with
 * counters, logs and live state of their own, and asked in the order of the pipeline. Nothing is sent on, nothing counted.
 */
export async function decideRequest(generation: Generation | null, host: FilterHost, question: RequestQuestion): Promise<object> {
  if (generation === null) return { allowed: false, decision: { kind: '', reason: 'no-configuration', status: 503 } };
  const at = findPlace(generation, question);
  const snapshot = { version: generation.label.version, hash: generation.hash };
  if ('reason' in at) return { snapshot, allowed: false, decision: { kind: '', status: at.status, reason: at.reason, detail: at.detail } };
  const who = question.as ?? {};
  const x = new AskedExchange(at, connectionOf(at.port, who, host), generation, host);
  const problem = assume(x, at.route, who, host);
  if (problem !== null) return { snapshot, problem };
  const asked = askedSections(at.route, at.port, who);
  const built = build(asked, x, host);
  try {
    const { steps, refusal } = await run(built, x);
    return {
      snapshot, listener: at.port.name, route: at.route.place.route, path: x.head.path, allowed: refusal === null, decision: refusal, steps,
      identity: identityOf(x), allowedBy: refusal === null ? concerning(built, x, 'authorization') : [], limits: refusal === null ? concerning(built, x, 'rateLimit') : [],
      notAsked: at.route.place.settings.sections.filter(({ kind }) => notAsked.has(kind)).map(({ kind }) => kind),
    };
  } finally {
    x.end();
  }
}

/** Those of a request's question that say who asks. */
type Who = NonNullable<RequestQuestion['as']>;

/** In the order of the pipeline they are where their sections stand. */
const deciding: ReadonlySet<string> = new Set(['mtls', 'ipAccess', ...credentialKinds.filter((kind) => kind !== 'mesh' && kind !== 'externalAuth'), 'authentication', 'authorization', 'rateLimit', 'quota']);
/** They would have to ask somebody outside, who may count it. */
const notAsked: ReadonlySet<string> = new Set(['externalAuth']);
/** Until whoever is asked for keys or tokens has answered. */
const patienceMs = 5_000;

interface FoundPlace {
  readonly port: ProviderPort;
  readonly route: ProviderRoute;
  readonly head: MessageHead;
  readonly pathNames: readonly string[];
  readonly pathValues: readonly string[];
}

function findPlace(generation: Generation, question: RequestQuestion): FoundPlace | { readonly reason: string; readonly status: number; readonly detail: string } {
  const ports = question.side === 'inbound' ? generation.inbound : generation.listeners;
  const usual = [...ports.values()].find(({ transport }) => transport === 'http') ?? [...ports.values()][0];
  const port = question.listener === undefined ? usual : ports.get(question.listener);
  if (port === undefined) return { reason: 'no-route', status: 404, detail: `there is no such port or listener; known are ${[...ports.keys()].join(', ')}` };
  let head: MessageHead;
  try {
    head = port.transport === 'http' ? buildRequestHead({ method: question.method, authority: question.authority, target: question.path, headers: question.headers }) : connectionHead(port.transport === 'tls' ? 'tls' : 'tcp', question.authority);
  } catch (error) {
    return { reason: 'bad-request', status: 400, detail: error instanceof Error ? error.message : String(error) };
  }
  if (port.transport === 'http') {
    const path = canonicalPath(head.path, port.pathRules);
    if (path === '') return { reason: 'bad-path', status: 400, detail: 'the path has a spelling that is not accepted here' };
    head.setPath(path);
    if (question.side === 'gateway') removeOutsideHeaders(head);
  }
  const hit = port.table.match(head);
  if (hit === undecided) return { reason: 'bad-request', status: 400, detail: 'a match could not be evaluated' };
  const route = hit?.value ?? port.fallback;
  if (route.action.kind === 'none') return { reason: 'no-route', status: 404, detail: 'no Route matches' };
  return { port, route, head, pathNames: hit?.pathNames ?? [], pathValues: hit?.pathValues ?? [] };
}

function connectionOf(port: ProviderPort, { caller = '', address = '127.0.0.1' }: Who, host: FilterHost): ConnectionFacts {
  return {
    peerAddress: address, peerPort: 0, localAddress: '', localPort: 0, tls: caller !== '', serverName: '', principal: principalOf(caller, host), trusted: false, portName: port.name,
  };
}

/** `web`, `gateway/edge`, or a SPIFFE id as it is; '' where names mean nothing for want of a trust domain. */
function principalOf(caller: string, host: FilterHost): string {
  if (caller === '' || caller.startsWith('spiffe://')) return caller;
  const trustDomain = new OwnTrustDomain(host.facts('identity')).get();
  return trustDomain === '' ? '' : `spiffe://${trustDomain}/${caller.includes('/') ? caller : `service/${caller}`}`;
}

/** Takes for granted who asks: as if the credentials of a Consumer had been shown and found good. Answers what speaks against it. */
function assume(x: AskedExchange, { place }: ProviderRoute, { consumer = '', caller = '' }: Who, host: FilterHost): string | null {
  if (caller !== '' && !caller.startsWith('spiffe://') && x.connection.principal === '') return `this sidecar has no identity, so that ${caller} is no name of a caller to it: name it by its SPIFFE id`;
  if (consumer === '') return null;
  const facts = consumerDirectory(host.facts('consumers')).byName(consumer);
  if (facts === null) return `this sidecar knows no Consumer ${consumer}: nothing that it enforces asks for Consumers, or the Consumer has not arrived`;
  const identity = x.identity = new RequestIdentity();
  for (const { kind } of place.settings.sections) {
    if (kind === 'mesh' || !isCredentialKind(kind)) continue;
    identity.looks(kind);
    identity.finds(kind, { consumer: facts, subject: consumer, issuer: '', claims: null, scopes: [] });
  }
  return null;
}

function isCredentialKind(kind: string): kind is CredentialKind {
  return (credentialKinds as readonly string[]).includes(kind);
}

function askedSections({ place }: ProviderRoute, port: ProviderPort, { consumer = '' }: Who): EffectiveSection[] {
  return place.settings.sections.filter(({ kind, runtime }) =>
    deciding.has(kind) && runtime.edge !== undefined && (port.transport === 'http' || runtime.tcp === true) && !(consumer !== '' && isCredentialKind(kind)));
}

interface BuiltFilter {
  readonly section: EffectiveSection;
  readonly filter: EdgeFilter;
  /** What a filter in shadow would have answered. */
  readonly shadow: { answer: Answer | null } | null;
}

function build(sections: readonly EffectiveSection[], x: AskedExchange, host: FilterHost): BuiltFilter[] {
  const live = new LiveStates();
  const slots = new SlotCounter();
  const silent: FilterHost = {
    clock: host.clock, timers: host.timers, random: host.random, facts: (kind) => host.facts(kind), questions: host.questions,
    detours: host.detours, hops: host.hops, later: (work) => host.later(work),
    count() {}, counter: () => () => {}, event() {}, log() {}, openLog: () => () => {},
  };
  const built = sections.flatMap((section, index): BuiltFilter[] => {
    const { kind, shadow } = section;
    const context = new PlaceFilterContext(silent, { kind, shadow, side: x.pin.side, scope: `${x.pin.side}/${x.pin.owner}/`, index, live: live.collector(new Set()), onOwned() {} }, slots);
    const filter = section.runtime.edge?.(section.settings, context) ?? null;
    if (filter === null) return [];
    if (!shadow) return [{ section, filter, shadow: null }];
    const verdict: { answer: Answer | null } = { answer: null };
    return [{ section, filter: shadowed(filter, (_x, answer) => void (verdict.answer = answer)), shadow: verdict }];
  });
  x.slots = Array.from({ length: slots.count }, () => undefined);
  return built;
}

interface Step {
  readonly kind: string;
  readonly shadow: boolean;
  readonly verdict: 'passes' | 'refuses' | 'would refuse';
  readonly reason: string;
  readonly status: number;
  readonly pointer: string;
  readonly detail: string;
  readonly policies: readonly string[];
}

/** Every kind in turn; the first that refuses ends it. Limits are looked at, and not asked. */
async function run(built: readonly BuiltFilter[], x: AskedExchange): Promise<{ readonly steps: readonly Step[]; readonly refusal: Step | null }> {
  const steps: Step[] = [];
  for (const one of built) {
    if (one.section.kind === 'rateLimit' || one.section.kind === 'quota') continue;
    const verdict = await x.settle(ask(one.filter, x));
    const answer = verdict ?? one.shadow?.answer ?? null;
    const step = stepOf(one.section, answer, { refused: verdict !== null, all: built });
    steps.push(step);
    if (verdict !== null) return { steps, refusal: step };
  }
  return { steps, refusal: null };
}

/** Nobody sends a body with a question: it is decided as without one. */
function ask(filter: EdgeFilter, x: AskedExchange): Verdict {
  const verdict = filter.request?.(x) ?? null;
  return verdict === HOLD ? (filter.requestHeld?.(x, noBody) ?? null) : verdict;
}

function stepOf(section: EffectiveSection, answer: Answer | null, { refused, all }: { readonly refused: boolean; readonly all: readonly BuiltFilter[] }): Step {
  const { kind, shadow, origins } = section;
  if (answer === null) return { kind, shadow, verdict: 'passes', reason: '', status: 0, pointer: '', detail: '', policies: policiesBehind(origins, '') };
  // A credential that is not valid is refused by authentication, and belongs to the kind that looked at it.
  const own = answer.kind === kind || answer.kind === '';
  const behind = own ? origins : (all.find((one) => one.section.kind === answer.kind)?.section.origins ?? []);
  return {
    kind: own ? kind : answer.kind, shadow, verdict: refused ? 'refuses' : 'would refuse', reason: answer.reason.code, status: answer.status, pointer: answer.pointer, detail: answer.detail,
    policies: policiesBehind(behind, answer.pointer),
  };
}

function concerning(built: readonly BuiltFilter[], x: AskedExchange, kind: string): object[] {
  return built.filter(({ section }) => section.kind === kind).flatMap(({ section, filter }) =>
    [...(filter.concerns?.(x) ?? []), ...(filter.late?.concerns?.(x) ?? [])].map((pointer) => ({ pointer, shadow: section.shadow, policies: policiesBehind(section.origins, pointer) })));
}

function identityOf({ identity, connection }: Exchange): object {
  return {
    caller: connection.principal, consumer: identity?.consumer?.name ?? '', groups: identity?.consumer?.groups ?? [], plan: identity?.consumer?.plan ?? '',
    subject: identity?.subject ?? '', issuer: identity?.issuer ?? '', scopes: identity?.scopes ?? [],
    proved: credentialKinds.filter((_, i) => ((identity?.proved ?? 0) & (1 << i)) !== 0),
  };
}

/** An exchange that nobody sent. What filters wait for is waited for here, for a bounded time. */
class AskedExchange extends Exchange {
  /** As WheelFilterTimers looks for them. */
  ended = false;
  timers: ExchangeTimer | null = null;
  readonly #host: FilterHost;
  #settle: ((verdict: Answer | null) => void) | null = null;

  constructor({ route, head, pathNames, pathValues }: FoundPlace, connection: ConnectionFacts, generation: Generation, host: FilterHost) {
    super();
    this.#host = host;
    this.head = head;
    this.connection = connection;
    this.clientAddress = connection.peerAddress;
    this.pathNames = pathNames;
    this.pathValues = pathValues;
    this.requestId = 'asked';
    this.startedAt = host.clock.monotonicMs();
    this.startedWallMs = host.clock.wallMs();
    const { side, owner } = route.place;
    this.pin = { side, route: route.place.route, owner, filters: [], slotCount: 0, configVersion: generation.label.version, configHash: generation.hash };
  }

  /** The verdict, once it is there. Rejects where it does not come. */
  async settle(verdict: Verdict): Promise<Answer | null> {
    if (verdict !== WAIT) return verdict;
    const decided = await new Promise<Answer | null>((resolve, reject) => {
      this.#settle = resolve;
      this.#host.timers.after(patienceMs, () => reject(new Error('whoever had to be asked did not answer in time')), this, this.token);
    });
    this.token += 1;
    this.#settle = null;
    return decided;
  }

  override proceed(token: number): void {
    if (token === this.token) this.#settle?.(null);
  }

  override answer(token: number, answer: Answer): void {
    if (token === this.token) this.#settle?.(answer);
  }

  end(): void {
    this.ended = true;
    for (let timer = this.timers; timer !== null; timer = timer.nextOfExchange) timer.cancel();
  }
}
