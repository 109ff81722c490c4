import { allocateText } from '@remora/http/byte-text';
import { headSizeMax, writeRequestHead } from '@remora/http/head-writer';
import { SessionEnd, type RecordedStream } from '@remora/http/http2/testdata/session-end';
import { MessageReader } from '@remora/http/message-reader';
import { Choice } from '../choice.ts';
import { InProcessLayer } from '../in-process-layer.ts';
import { caseName, type CorpusEntry, type FuzzFinding } from '../layer.ts';
import { isForwardable } from '../forwardable.ts';
import { fieldsOf } from '../http1/plan.ts';
import { chooseCuts, cutAt } from '../segmentation.ts';
import { generateStreams, type StreamConversation } from './stream-generator.ts';

/**
 * HTTP/2 sessions: what a server makes of frames does not depend on how they are cut; every request that it accepts can be written as one
 * HTTP/1.1 message, which reads the same again; malformed ones never get that far.
 */
export class Http2SessionLayer extends InProcessLayer {
  readonly name = 'http2-sessions';
  protected readonly noun = 'connections';
  protected readonly casesPerRound = 100;

  protected again({ seed }: CorpusEntry): readonly FuzzFinding[] {
    return this.one(seed);
  }

  protected one(seed: number): readonly FuzzFinding[] {
    const conversation = generateStreams(seed);
    const entry: CorpusEntry = { layer: this.name, name: caseName(conversation.bytes), seed, bytes: conversation.bytes.toString('latin1'), setting: {} };
    const choice = new Choice(seed ^ 0x77_1234);
    const whole = receive([conversation.bytes]);
    const cut = receive(cutAt(conversation.bytes, chooseCuts(choice, conversation.bytes)));
    if (account(whole) !== account(cut)) return [{ entry, problem: `depends on segments: ${account(whole)} | ${account(cut)}` }];
    const problem = misjudged(conversation, whole);
    if (problem !== '') return [{ entry, problem }];
    const forwarded = whole.requests.filter(({ ended, reset, head }) => ended && reset === null && head !== null && isForwardable(head)).map(translate);
    const broken = forwarded.find((one) => typeof one === 'string');
    if (broken !== undefined) return [{ entry, problem: broken }];
    if (forwarded.length > 0 && seed % judgedShare === 0) this.hearing.add({ bytes: Buffer.concat(forwarded as Buffer[]), clean: true }, entry);
    return [];
  }
}

const judgedShare = 6;

function receive(pieces: readonly Uint8Array[]): SessionEnd {
  const end = new SessionEnd('server').start();
  end.accept = (one) => {
    one.stream.resume();
    return true;
  };
  for (const piece of pieces) end.read(piece);
  return end;
}

/** Of a body that breaks off some may have been given on, or not: that depends on when it was known. */
function account({ requests, failure, unread }: SessionEnd): string {
  return JSON.stringify([failure?.reason ?? '', unread, requests.map((one) => [one.stream.id, one.head === null ? '' : [one.head.method, one.head.path, one.head.query, fieldsOf(one.head)], one.reset === null ? one.text : '', one.ended, one.reset?.reason ?? '', one.trailers === null ? [] : fieldsOf(one.trailers)])]);
}

/** Well-formed requests on well-formed frames are accepted whole, malformed ones never come whole. */
function misjudged({ requests, framesValid }: StreamConversation, end: SessionEnd): string {
  if (!framesValid) return '';
  if (end.failure !== null) return `valid frames end the connection: ${end.failure.reason}`;
  for (const request of requests) {
    const seen = end.requests.find(({ stream }) => stream.id === request.streamId);
    const whole = seen !== undefined && seen.ended && seen.reset === null;
    if (!request.valid && whole && !toleratedPath(seen)) return `malformed, and accepted: ${JSON.stringify(request.fields)}`;
    if (request.valid && !request.cancelled && (!whole || seen.text !== request.body)) return `well-formed, and not accepted (${seen?.reset?.reason ?? 'no stream'}): ${JSON.stringify(request.fields)}`;
  }
  return '';
}

/** The session leaves to the engine what paths may look like; there `#` is refused. */
function toleratedPath({ head }: RecordedStream): boolean {
  return head !== null && head.target.includes('#');
}

/** The request as HTTP/1.1 bytes, or what is wrong with them. */
function translate({ head, text, trailers }: RecordedStream): Buffer | string {
  if (head === null) return 'a request without a head';
  const out = allocateText(headSizeMax(head));
  const end = writeRequestHead(head, out, 0);
  if (end < 0) return `accepted, and cannot be written: ${head.method} ${head.path} ${JSON.stringify(fieldsOf(head))}`;
  const start = Buffer.from(out.subarray(0, end));
  const chunked = head.bodyLength < 0;
  const body = Buffer.from(text, 'latin1');
  const tail = trailers === null ? '' : fieldsOf(trailers).map((field) => `${field[0]}: ${field[1]}\r\n`).join('');
  const bytes = chunked ? Buffer.concat([start, ...(body.length > 0 ? [Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')] : []), Buffer.from(`0\r\n${tail}\r\n`, 'latin1')]) : Buffer.concat([start, body]);
  const reader = new MessageReader('request', { bytesMax: 1 << 20, fieldsMax: 2000 });
  reader.feed(bytes);
  const [again] = reader.messages;
  if (reader.state === 'refused' || reader.messages.length !== 1 || again === undefined) return `written as HTTP/1.1 it is ${reader.messages.length} messages, ${reader.state}: ${JSON.stringify(bytes.toString('latin1').slice(0, 300))}`;
  if (again.head.method !== head.method || again.head.path !== head.path || Buffer.concat(again.body).toString('latin1') !== text) return `written as HTTP/1.1 it is another request: ${JSON.stringify(bytes.toString('latin1').slice(0, 300))}`;
  return bytes;
}
