import { settings, windowUpdate } from '@remora/http/http2/testdata/frame-bytes';
import { clientPatienceMs, type GatewayUnderFuzz } from '../gateway-layer.ts';
import { digest, echoBody, EchoUpstream, type SeenRequest } from '../http1/echo-upstream.ts';
import { isShed } from '../http1/exchange-verdict.ts';
import { conserved } from '../http1/plan.ts';
import { caseName, type FuzzFinding } from '../layer.ts';
import { cutAt, cutsBySeed, everyCut, everyCutMax, type Cuts } from '../segmentation.ts';
import type { Transport } from '../transport.ts';
import { UpstreamTrial } from '../upstream-trial.ts';
import type { Disturbance } from '../undisturbed.ts';
import { FrameClient, type SeenStream } from './frame-client.ts';
import { generateStreams, type StreamConversation, type StreamRequest } from './stream-generator.ts';

/** HTTP/2 connections, good and hostile, to an HTTP/1.1 upstream; those of valid frames twice, cut differently. */
export class Http2RequestTrial extends UpstreamTrial<EchoUpstream> {
  static async start(this: void, layer: string, transport: Transport): Promise<Http2RequestTrial> {
    return new Http2RequestTrial(layer, await EchoUpstream.start(transport));
  }

  async judge(seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    const { bytes, framesValid } = generateStreams(seed);
    const problem = await this.#twice(seed, framesValid, bytes.length, gateway);
    return problem === '' ? [] : [{ entry: { layer: this.layer, name: caseName(bytes), seed, bytes: bytes.toString('latin1'), setting: {} }, problem }];
  }

  async #twice(seed: number, framesValid: boolean, length: number, gateway: GatewayUnderFuzz): Promise<string> {
    const first = await this.#run(seed, cutsBySeed(seed ^ 0x1111), gateway);
    if (first.problem !== '') return first.problem;
    const further = gateway.exhaustive && length <= everyCutMax ? everyCut(length) : [cutsBySeed(seed ^ 0x2222)];
    for (const [nth, cuts] of framesValid ? further.entries() : []) {
      const again = await this.#run(seed, cuts, gateway);
      if (again.problem !== '') return `cut again (${nth}): ${again.problem}`;
      if (first.text !== again.text) return `depends on segments (${nth}): ${first.text} | ${again.text}`;
    }
    return '';
  }

  /** Each run has tokens of its own. */
  async #run(seed: number, cuts: Cuts, gateway: GatewayUnderFuzz): Promise<{ readonly problem: string; readonly text: string }> {
    const { conversation, streams, goAway, complete } = await gateway.undisturbed.run(() => {
      const prefix = this.nextPrefix();
      return this.#send(generateStreams(seed, prefix), cuts, gateway);
    }, disturbanceOf);
    for (const { streamId } of conversation.requests) gateway.outcomes.count(outcomeOf(streams.get(streamId), goAway));
    return { problem: judgeConnection(conversation, streams, goAway, complete), text: textOf(conversation.requests, streams) };
  }

  async #send(conversation: StreamConversation, cuts: Cuts, gateway: GatewayUnderFuzz): Promise<Sent> {
    const { requests, framesValid, prefix, bytes } = conversation;
    const client = new FrameClient(await gateway.open());
    await client.send(cutAt(bytes, cuts(bytes)));
    if (framesValid) {
      await client.send([Buffer.concat([settings([4, 1_000_000]), windowUpdate(0, 1_000_000)])]);
      await client.untilResolved(requests.filter(({ cancelled }) => !cancelled).map(({ streamId }) => streamId), clientPatienceMs);
    }
    await client.end(clientPatienceMs);
    const { streams, goAway } = client.read(new Map(requests.map(({ streamId, method }) => [streamId, method])));
    const complete = this.upstream.complete.get(prefix) ?? [];
    this.upstream.forget(prefix);
    return { conversation, streams, goAway, complete };
  }
}

interface Sent {
  readonly conversation: StreamConversation;
  readonly streams: ReadonlyMap<number, SeenStream>;
  readonly goAway: number;
  readonly complete: readonly SeenRequest[];
}

/** An overloaded gateway says that it takes no further streams; those that it did not take may be sent again (RFC 9113 section 6.8). */
function disturbanceOf({ conversation: { requests, framesValid }, streams, goAway }: Sent): Disturbance {
  const untaken = requests.some(({ streamId, cancelled }) => !cancelled && (streams.get(streamId)?.status ?? 0) === 0 && (streams.get(streamId)?.reset ?? refusedStream) === refusedStream);
  return { sheds: [...streams.values()].filter(isShed).length, endsKeepAlive: framesValid && goAway === 0 && untaken };
}

/** RFC 9113 section 8.7. */
const refusedStream = 7;

function judgeConnection({ requests, framesValid }: StreamConversation, streams: ReadonlyMap<number, SeenStream>, goAway: number, complete: readonly SeenRequest[]): string {
  if (framesValid && goAway > 0) return `valid frames end the connection with ${goAway}`;
  for (const seen of complete) {
    const request = requests.find(({ token }) => token === seen.token);
    // Where bytes were changed, tokens may have been.
    if (request === undefined && !framesValid) continue;
    if (request === undefined) return `the upstream read ${seen.token}, which nobody sent`;
    if (framesValid && !request.valid) return `malformed, and it reached the upstream: ${JSON.stringify(request.fields)}`;
    if (framesValid && (seen.body !== request.body || seen.method !== request.method)) return `method or body of ${seen.token} changed`;
    const [before, after] = [conserved(request.fields.filter(([name]) => !name.startsWith(':'))), conserved(seen.headers)];
    if (framesValid && before !== after) return `headers changed: ${JSON.stringify(before)} | ${JSON.stringify(after)}`;
  }
  for (const request of requests) {
    const problem = judgeStream(request, streams.get(request.streamId), framesValid);
    if (problem !== '') return problem;
  }
  return '';
}

function judgeStream(request: StreamRequest, seen: SeenStream | undefined, framesValid: boolean): string {
  const token = seen?.headers.find(([name]) => name === 'x-token')?.[1];
  if (token !== undefined && token !== request.token && framesValid) return `stream ${request.streamId} got the answer to ${token}`;
  if (!framesValid || request.cancelled) return '';
  if (seen === undefined) return `stream ${request.streamId} has no answer`;
  if (!request.valid) return seen.status < 400 && seen.status !== 0 ? `malformed, and answered with ${seen.status}: ${JSON.stringify(request.fields)}` : '';
  if (seen.status >= 300 || seen.status === 0) return `well-formed, and answered with ${seen.status} (reset ${seen.reset}): ${JSON.stringify(request.fields)}`;
  const body = request.method === 'HEAD' ? '' : echoBody(request.token) ?? '';
  if (!seen.ended || seen.body !== body) return `a body of ${body.length} bytes came as ${seen.body.length}, ${seen.ended ? 'ended' : 'not ended'}`;
  return seen.headers.some(([name, value]) => name === 'x-read' && value === digest(request.body)) ? '' : 'the upstream read another body';
}

function outcomeOf(seen: SeenStream | undefined, goAway: number): string {
  if (seen === undefined) return goAway > 0 ? 'connection ended' : 'no answer';
  if (seen.status === 0) return 'reset';
  return seen.status < 400 ? (seen.ended ? 'served' : 'cut') : `${seen.status} ${seen.headers.find(([name]) => name === 'x-remora-reason')?.[1] ?? ''}`;
}

function textOf(requests: readonly StreamRequest[], streams: ReadonlyMap<number, SeenStream>): string {
  return JSON.stringify(requests.map(({ streamId, cancelled }) => {
    const seen = streams.get(streamId);
    return cancelled || seen === undefined ? [] : [seen.status, seen.ended, seen.body.length, seen.status === 0 ? seen.reset : 0];
  }));
}
