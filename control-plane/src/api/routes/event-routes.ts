import { suggest } from '@remora/core/suggest';
import { z } from 'zod';
import type { PushEvent } from '../../push/push-hub.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import type { Access } from '../../operators/access.ts';
import { visibleEntry } from '../visible-changes.ts';
import type { FeedEvent } from '../event-feed.ts';
import { listParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';

/** Types of events, beside `gap`, which every listener gets. */
const eventTypes = ['revision', 'revision-enforced', 'revision-refused', 'sidecar-connected', 'sidecar-disconnected', 'sidecar-refused', 'sidecar-in-sync'] as const satisfies readonly (PushEvent['type'] | 'revision')[];
const listenersMax = 256;
/** Bytes that may wait for one listener; beyond, it is told that it missed events. */
const queuedBytesMax = 256 * 1024;
const heartbeatMs = 15_000;

export function eventRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/events', operationId: 'events', tag: 'Events', right: { role: 'viewer', scoped: 'checked' }, summary: 'What happens, as server-sent events',
      description: 'Revisions, sidecars connecting and leaving, refusals, enforcement. `Last-Event-ID` goes on after an event; where events were missed, an event `gap` says so and the listener should read the state anew.',
      query: z.object({ type: listParameter.describe(`Only these types, separated by commas: ${eventTypes.join(', ')}`) }),
      headers: { 'Last-Event-ID': 'Id of the last event seen' },
      answers: { 200: { description: 'Never ends', contentType: 'text/event-stream' } }, problems: ['too-many-listeners'],
      handle({ query, header, reply, access, stillGood }) {
        if (ports.events.listeners() >= listenersMax) throw new ApiError('too-many-listeners', `${listenersMax} listeners are connected already`);
        checkTypes(query.type);
        const types = new Set(query.type);
        reply.hijack();
        const socket = reply.raw;
        socket.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
        socket.flushHeaders();
        stream(ports, header('last-event-id'), {
          wanted: (event) => (types.size === 0 || types.has(event.type)) && isVisible(ports, access, event),
          stillGood,
          end: () => void socket.end(),
          write: (text) => socket.write(text),
          queued: () => socket.writableLength,
          onEnd: (done) => socket.once('close', done),
        });
        return 'stream';
      },
    }),
  ];
}

/** Revisions that changed something in the scope, and what its sidecars do. */
function isVisible(ports: ApiPorts, access: Access, { data }: FeedEvent): boolean {
  if (access.seesAll) return true;
  const { subject, version } = data as { readonly subject?: unknown; readonly version?: { readonly index?: unknown } };
  if (typeof subject === 'string') return access.sees(subject);
  const entry = typeof version?.index === 'number' ? ports.store.entry(version.index) : null;
  return entry !== null && visibleEntry(access, entry) !== null;
}

/** A misspelt type would be a stream on which nothing ever comes. */
function checkTypes(types: readonly string[]): void {
  for (const type of types) {
    if ((eventTypes as readonly string[]).includes(type)) continue;
    const near = suggest(type, eventTypes);
    const message = `there is no type ${type.slice(0, 60)}${near === undefined ? '' : `; did you mean ${near}?`}`;
    throw new ApiError('bad-parameter', `type: ${message}`, { violations: [{ document: 'query', pointer: '/type', code: 'bad-parameter', message, expected: `one of ${eventTypes.join(', ')}` }] });
  }
}

interface Listener {
  /** False when the token of whoever listens is over. */
  stillGood(): boolean;
  end(): void;
  wanted(event: FeedEvent): boolean;
  write(text: string): void;
  queued(): number;
  onEnd(done: () => void): void;
}

function stream(ports: ApiPorts, lastEventId: string | undefined, listener: Listener): void {
  const { events } = ports;
  let missed = false;
  const send = (event: FeedEvent): void => {
    if (!listener.stillGood()) return listener.end();
    if (listener.queued() > queuedBytesMax) {
      missed = true;
      return;
    }
    if (missed) listener.write(gapText(ports, 'this listener was too slow'));
    missed = false;
    if (listener.wanted(event)) listener.write(eventText(ports, event));
  };
  listener.write(': connected\n\n');
  const past = pastEvents(ports, lastEventId);
  if (past === null) listener.write(gapText(ports, 'the events after that id are not kept any more'));
  else past.forEach(send);
  const stop = events.listen(send);
  const heartbeat = setInterval(() => {
    if (!listener.stillGood()) return listener.end();
    if (listener.queued() <= queuedBytesMax) listener.write(': \n\n');
  }, heartbeatMs);
  listener.onEnd(() => {
    clearInterval(heartbeat);
    stop();
  });
}

function pastEvents({ events }: ApiPorts, lastEventId: string | undefined): readonly FeedEvent[] | null {
  if (lastEventId === undefined || lastEventId === '') return [];
  const match = /^([0-9a-z]+)-(\d{1,15})$/.exec(lastEventId);
  return match?.[1] === events.run ? events.after(Number(match[2])) : null;
}

function eventText({ events }: ApiPorts, { id, type, at, data }: FeedEvent): string {
  return `id: ${events.run}-${id}\nevent: ${type}\ndata: ${JSON.stringify({ at, ...data })}\n\n`;
}

function gapText({ events }: ApiPorts, detail: string): string {
  return `id: ${events.run}-${events.newestId()}\nevent: gap\ndata: ${JSON.stringify({ detail })}\n\n`;
}
