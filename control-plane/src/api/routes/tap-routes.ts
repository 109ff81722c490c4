import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Access } from '../../operators/access.ts';
import type { ApiPorts } from '../api-ports.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import { durationParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { findDocument } from '../find-document.ts';
import { openTapsMax } from '../open-taps.ts';
import { readTapAnswer } from '../tap-answer.ts';
import { TapStream } from '../tap-stream.ts';

/** How often sidecars are asked what has ended, and how long each may take. */
const lookEveryMs = 500;
const lookMs = 2_000;
/** Sidecars that one tap looks at; how many are beyond is told as it begins. */
const sidecarsMax = 64;
const standardMs = 30_000;

export function tapRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/tap', operationId: 'tap', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'Requests of a service or gateway as they end, as server-sent events',
      description: 'An event `request` for each that matches, `skipped` where there were more than could be told, `silent` for sidecars that did not answer, `left-out` where there are more than 64, `end` at the end. Never a header, a body or a query string. Sidecars keep nothing for it while nobody looks.',
      query: z.object({
        service: z.string().max(253).optional(), gateway: z.string().max(253).optional(),
        side: z.enum(['inbound', 'outbound', 'gateway']).optional(),
        method: z.string().regex(/^[!-~]{1,32}$/, 'expected a method').optional(),
        path: z.string().regex(/^\/[ -~]{0,511}$/, 'expected a path that begins with /').optional().describe('Exactly this one, or what is below it'),
        status: z.string().regex(/^[1-5](?:xx|\d\d)$/, 'expected a status such as 503, or a class such as 5xx').optional(),
        for: durationParameter({ ms: 600_000, text: '10m' }).optional().describe('How long; 30s unless told'),
      }),
      answers: { 200: { description: 'Ends after the time', contentType: 'text/event-stream' } }, problems: ['not-found', 'too-many-listeners'],
      handle({ query, reply, access, stillGood }) {
        const { service, gateway, for: forMs = standardMs, ...filter } = query;
        const subject = subjectOf(ports, access, service, gateway);
        if (!ports.taps.begin()) throw new ApiError('too-many-listeners', `${openTapsMax} people look at requests already`);
        reply.hijack();
        const socket = reply.raw;
        socket.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
        socket.flushHeaders();
        const ended = new AbortController();
        socket.once('close', () => ended.abort());
        const stream = new TapStream({ queued: () => socket.writableLength, write: (text) => void socket.write(text), skipped: (requests) => ports.taps.leftOut(requests) });
        void follow(ports, { subject, filter, forMs, stream, goesOn: () => !ended.signal.aborted && stillGood() }).finally(() => {
          ports.taps.end();
          socket.end();
        });
        return 'stream';
      },
    }),
  ];
}

/** Throws where it is not there, or not for whoever asks. */
function subjectOf(ports: ApiPorts, access: Access, service: string | undefined, gateway: string | undefined): string {
  if ((service === undefined) === (gateway === undefined)) throw new ApiError('bad-parameter', 'exactly one of service and gateway says whose requests');
  if (service !== undefined) findDocument(ports, access, 'Service', service);
  else findDocument(ports, access, 'Gateway', gateway ?? '');
  return service === undefined ? `gateway/${gateway ?? ''}` : `service/${service}`;
}

interface Following {
  readonly subject: string;
  readonly filter: object;
  readonly forMs: number;
  readonly stream: TapStream;
  readonly goesOn: () => boolean;
}

async function follow(ports: ApiPorts, { subject, filter, forMs, stream, goesOn }: Following): Promise<void> {
  const request = JSON.stringify({ id: randomUUID(), filter });
  const endsAt = ports.clock.monotonicMs() + forMs;
  const connected = (): string[] => ports.hub.sidecars().filter((one) => one.connected && one.subject === subject).map(({ nodeId }) => nodeId);
  const beyond = connected().length - sidecarsMax;
  if (beyond > 0) stream.leftOut(beyond);
  for (;;) {
    const last = ports.clock.monotonicMs() >= endsAt;
    const nodes = connected().slice(0, sidecarsMax);
    const looks = await Promise.allSettled(nodes.map((nodeId) => ports.hub.ask(nodeId, { what: 'tap', request }, lookMs)));
    looks.forEach((look, i) => {
      const nodeId = nodes[i] ?? '';
      if (look.status === 'fulfilled') stream.answered(nodeId, readTapAnswer(look.value));
      else stream.silent(nodeId, look.reason instanceof Error ? look.reason.message : String(look.reason));
    });
    if (last || !goesOn()) break;
    await new Promise<void>((resolve) => void ports.timers.after(Math.max(1, Math.min(lookEveryMs, endsAt - ports.clock.monotonicMs())), resolve));
  }
  stream.end(connected().length);
}
