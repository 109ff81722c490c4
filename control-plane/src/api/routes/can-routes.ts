import { listenerProtocol } from '@remora/model/listener-protocol';
import { z } from 'zod';
import type { Planned } from '../../compile/planner.ts';
import { QueryError } from '../../push/query-broker.ts';
import type { SidecarStatus } from '../../push/push-hub.ts';
import { ForbiddenError } from '../../operators/forbidden-error.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { readCanAnswer, type CanAnswer } from '../can-answer.ts';
import { readJsonBody } from '../json-body.ts';
import { nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { requireSubject } from '../require-subject.ts';
import { canShape } from '../shapes/can-shape.ts';

/** How long one sidecar may take: it may have to fetch keys first. */
const askMs = 6_000;
const sidecarsMax = 3;

const tokenText = z.string().min(1).max(16_384).regex(/^[\x21-\x7e]+$/, { error: 'expected a token: no spaces, no line breaks' });

const canBody = z.strictObject({
  service: nameParameter.optional().describe('Whose side is asked; or `gateway`, or `url`'),
  gateway: nameParameter.optional(),
  url: z.string().max(8_192).optional().describe('At whichever gateway serves that host: `https://api.shop.example/orders`'),
  method: z.string().regex(/^[A-Z][A-Z-]{0,31}$/, { error: 'expected a method such as GET' }).default('GET'),
  path: z.string().startsWith('/', { error: 'expected a path that begins with /' }).max(8_192).default('/'),
  authority: z.string().max(300).default('').describe('As the client names it in Host'),
  headers: z.record(z.string().max(256), z.string().max(16_384)).default({}),
  port: nameParameter.optional().describe('Port of the service, or listener of the gateway'),
  caller: z.string().min(1).max(2_048).optional().describe('With a certificate of the mesh: a service, `gateway/NAME`, or a SPIFFE id'),
  consumer: nameParameter.optional().describe('As if a credential of this Consumer had been shown'),
  token: tokenText.optional().describe('Sent as `Authorization: Bearer`, and judged by the sidecar as any other'),
  address: z.string().max(64).optional().describe('Client address; 127.0.0.1 unless told'),
});

type Asked = z.output<typeof canBody>;

/** `POST /v1/can`: may they? Answered by a live sidecar of the place, with its own code, on what it enforces. */
export function canRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'POST', path: '/v1/can', operationId: 'can', tag: 'Explain', right: { role: 'viewer', scoped: 'checked' }, summary: 'Whether a request would be let in, by whom, and what decides',
      description: 'A live sidecar of the place answers, with the code that it runs and on what it enforces; a token is judged by it. Nothing is sent on, nothing counted. Without a live sidecar there is no answer: nothing is guessed.',
      body: { kind: 'json', maxBytes: 64 * 1024, description: 'Who asks for what, and where', schema: canBody },
      answers: { 200: { description: 'Allowed or not, and why', schema: canShape } }, problems: ['not-found', 'not-ready', 'offline', 'sidecar-timeout', 'sidecar-failed'],
      async handle(call) {
        const asked = readJsonBody(canBody, call.body);
        const state = ports.writePath.state();
        if (state.kind !== 'ready') throw new ApiError('not-ready', 'the control plane is not ready');
        // Which gateway serves a host is known to who sees all of them.
        if (asked.url !== undefined && asked.gateway === undefined && !call.access.seesAll) throw new ForbiddenError(call.access.principal, { role: 'viewer', right: 'read', detail: 'a role with a scope names the gateway beside the url' });
        const place = placeOf(state.planned, asked);
        requireSubject(call.access, place.subject);
        requireExisting(state.planned, place.subject);
        const answer = await askAny(ports, place.subject, questionOf(asked, place));
        return { status: 200, body: { ...answer, notes: notesOf(state.planned, asked, place, answer) } };
      },
    }),
  ];
}

interface AskedPlace {
  readonly subject: `service/${string}` | `gateway/${string}`;
  readonly authority: string;
  readonly path: string;
  readonly listener: string | undefined;
}

function placeOf(planned: Planned, asked: Asked): AskedPlace {
  const named = [asked.service, asked.gateway, asked.url].filter((one) => one !== undefined).length;
  if (named !== 1 && !(named === 2 && asked.url !== undefined && asked.gateway !== undefined)) throw new ApiError('bad-parameter', 'expected one of service, gateway and url');
  if (asked.url !== undefined) return placeOfUrl(planned, asked.url, asked);
  const { authority, path, port } = asked;
  if (asked.service !== undefined) return { subject: `service/${asked.service}`, authority: authority === '' ? asked.service : authority, path, listener: port };
  return { subject: `gateway/${asked.gateway ?? ''}`, authority, path, listener: port };
}

function placeOfUrl(planned: Planned, text: string, { gateway, port }: Asked): AskedPlace {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '' || url.password !== '') throw new ApiError('bad-parameter', 'url: expected http://HOST/PATH or https://HOST/PATH');
  const found = listenersOf(planned, url).filter((one) => (gateway === undefined || one.gateway === gateway) && (port === undefined || one.listener === port));
  const [best, second] = found;
  if (best === undefined) throw new ApiError('not-found', `no gateway has a listener for ${url.protocol}//${url.host}`);
  if (second !== undefined && second.rank === best.rank && second.gateway !== best.gateway) {
    throw new ApiError('bad-parameter', `several gateways serve ${url.host}: ${[...new Set(found.map((one) => one.gateway))].join(', ')}; name one with gateway`);
  }
  // What was written, not what a parser makes of it: the sidecar judges the spelling.
  const path = /^https?:\/\/[^/?#]*([^#]*)/i.exec(text)?.[1] ?? '/';
  return { subject: `gateway/${best.gateway}`, authority: url.host, path: path.startsWith('/') ? path : `/${path}`, listener: best.listener };
}

interface FoundListener {
  readonly gateway: string;
  readonly listener: string;
  /** Exact host before suffix before any; the port of the URL before others. */
  readonly rank: number;
}

function listenersOf({ state }: Planned, url: URL): FoundListener[] {
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  const found: FoundListener[] = [];
  for (const [gateway, { listeners }] of state.gateways) {
    for (const [name, listener] of Object.entries(listeners)) {
      const { hosts = [] } = listener;
      if (listenerProtocol(listener) !== (secure ? 'https' : 'http')) continue;
      const host = hostRank(hosts, url.hostname);
      if (host > 0) found.push({ gateway, listener: name, rank: host * 2 + (listener.port === port ? 1 : 0) });
    }
  }
  return found.sort((a, b) => b.rank - a.rank);
}

function hostRank(hosts: readonly string[], host: string): number {
  if (hosts.includes(host)) return 3;
  if (hosts.some((one) => one.startsWith('*.') && host.endsWith(one.slice(1)) && host.length > one.length - 1)) return 2;
  return hosts.length === 0 ? 1 : 0;
}

function requireExisting({ state }: Planned, subject: AskedPlace['subject']): void {
  const name = subject.slice(subject.indexOf('/') + 1);
  if (!(subject.startsWith('service/') ? state.services : state.gateways).has(name)) throw new ApiError('not-found', `there is no ${subject}`);
}

function questionOf(asked: Asked, { subject, authority, path, listener }: AskedPlace): string {
  const { method, caller, consumer, address, token } = asked;
  const headers = token === undefined ? asked.headers : { ...asked.headers, authorization: `Bearer ${token}` };
  return JSON.stringify({
    side: subject.startsWith('service/') ? 'inbound' : 'gateway', method, authority, path, headers, ...(listener === undefined ? {} : { listener }),
    as: { ...(caller === undefined ? {} : { caller }), ...(consumer === undefined ? {} : { consumer }), ...(address === undefined ? {} : { address }) },
  });
}

type Answered = Exclude<CanAnswer, { readonly problem: string }>;

/** The first sidecar that answers; those that enforce what they should are asked first. */
async function askAny(ports: ApiPorts, subject: string, request: string): Promise<Answered> {
  const live = ports.hub.sidecars().filter((one) => one.subject === subject && one.connected).sort((a, b) => Number(b.config.inSync) - Number(a.config.inSync) || (a.nodeId < b.nodeId ? -1 : 1));
  if (live.length === 0) throw new ApiError('offline', `no sidecar of ${subject} is connected: only what enforces can say what it would do`);
  let last: unknown = null;
  for (const sidecar of live.slice(0, sidecarsMax)) {
    try {
      return understood(await ports.hub.ask(sidecar.nodeId, { what: 'route', request }, askMs), sidecar);
    } catch (error) {
      if (!(error instanceof QueryError) || error.code === 'refused' || error.code === 'bad-answer') throw problemOf(error);
      last = error;
    }
  }
  throw problemOf(last);
}

function understood(answer: unknown, sidecar: SidecarStatus): Answered {
  const read = readCanAnswer(answer, sidecar);
  if (read === null) throw new ApiError('sidecar-failed', `${sidecar.nodeId} gave an answer that is not understood: it may be older than this control plane`);
  if ('problem' in read) throw new ApiError('sidecar-failed', read.problem);
  return read;
}

function problemOf(error: unknown): unknown {
  if (!(error instanceof QueryError)) return error;
  return new ApiError(error.code === 'timeout' || error.code === 'busy' ? 'sidecar-timeout' : error.code === 'offline' ? 'offline' : 'sidecar-failed', error.message);
}

function notesOf({ state }: Planned, { caller, token, consumer, address }: Asked, { subject }: AskedPlace, { notAsked, current }: Answered): string[] {
  const notes: string[] = [];
  if (!current) notes.push('the sidecar does not enforce the newest revision yet');
  if (address === undefined) notes.push('as from 127.0.0.1: conditions on addresses are judged by that');
  if (token !== undefined && consumer !== undefined) notes.push('the token was not looked at: the Consumer was taken for proved');
  for (const kind of notAsked) notes.push(`${kind} decides too, and was not asked`);
  const calling = caller === undefined ? undefined : state.services.get(caller);
  if (calling !== undefined && subject.startsWith('service/') && calling.dependsOn?.includes(subject.slice('service/'.length)) !== true) {
    notes.push(`Service/${caller ?? ''} does not list ${subject.slice('service/'.length)} in dependsOn: its own sidecar would not know the way`);
  }
  return notes;
}
