import { settings, windowUpdate } from '@remora/http/http2/testdata/frame-bytes';
import { untilReachable } from '../../conformance/connect/reachable.ts';
import { ProxiesUnderTest, type Proxy } from '../../conformance/proxy-under-test.ts';
import { Choice } from '../choice.ts';
import { digest, echoBody, EchoUpstream, type SeenRequest } from '../http1/echo-upstream.ts';
import { isShed } from '../http1/exchange-verdict.ts';
import { conserved } from '../http1/plan.ts';
import { caseName, type CorpusEntry, type FuzzFinding, type FuzzLayer } from '../layer.ts';
import { chooseCuts, cutAt } from '../segmentation.ts';
import { Outcomes } from '../outcomes.ts';
import { Vitals } from '../vitals.ts';
import { Jury } from '../witness/jury.ts';
import { FrameClient, type SeenStream } from './frame-client.ts';
import { generateStreams, type StreamConversation, type StreamRequest } from './stream-generator.ts';

/** HTTP/2 connections, good and hostile, through a gateway process to an HTTP/1.1 upstream: what arrives there is before the witnesses. */
export class Http2RequestLayer implements FuzzLayer {
  readonly name: string;
  cases = 0;
  readonly #hops: 1 | 2;
  #jury!: Jury;
  #proxies!: ProxiesUnderTest;
  #upstream!: EchoUpstream;
  #proxy!: Proxy;
  #vitals!: Vitals;
  #nextPrefix = 0;
  readonly #outcomes = new Outcomes();

  /** 2: through a gateway and the sidecar of the upstream. */
  constructor(hops: 1 | 2 = 1) {
    this.#hops = hops;
    this.name = hops === 1 ? 'http2-requests' : 'http2-requests-two-hops';
  }

  async begin(): Promise<readonly string[]> {
    this.#jury = await Jury.call();
    this.#upstream = await EchoUpstream.start();
    this.#proxies = await ProxiesUnderTest.start();
    this.#proxy = await this.#proxies.proxy({ upstreamPort: this.#upstream.port, hops: this.#hops });
    await untilReachable(this.#proxy.port, false);
    this.#vitals = await Vitals.take(this.#proxy);
    return this.#jury.missing;
  }

  async round(seed: number): Promise<readonly FuzzFinding[]> {
    const found = (await Promise.all(Array.from({ length: parallel }, (_, nth) => this.#judge((seed + nth) >>> 0)))).flat();
    if (this.cases > warmCases) this.#vitals.warm();
    return [...found, ...(this.#upstream.streams.length >= batch ? await this.#hear() : [])];
  }

  async replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]> {
    return this.#judge(entry.seed);
  }

  async end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }> {
    this.#upstream.drop();
    const findings = await this.#hear();
    const afterwards = await this.#vitals.compare();
    if (afterwards !== '') findings.push({ entry: { layer: this.name, name: 'afterwards', seed: 0, bytes: '', setting: {} }, problem: afterwards });
    await this.#proxies.end();
    await this.#upstream.close();
    await this.#jury.dismiss();
    return { findings, summary: `${this.cases} connections (${this.#outcomes.text}); ${this.#jury.requests} requests on ${this.#jury.streams} streams before ${this.#jury.witnesses.map(({ name }) => name).join(', ')}; ${this.#vitals.summary}` };
  }

  async #judge(seed: number): Promise<FuzzFinding[]> {
    this.cases++;
    const conversation = generateStreams(seed);
    const entry: CorpusEntry = { layer: this.name, name: caseName(conversation.bytes), seed, bytes: conversation.bytes.toString('latin1'), setting: {} };
    const choice = new Choice(seed ^ 0x1111);
    try {
      const first = await this.#run(conversation, choice);
      if (first.problem !== '' || !conversation.framesValid) return first.problem === '' ? [] : [{ entry, problem: first.problem }];
      const again = await this.#run(generateStreams(seed, (this.#nextPrefix++ >>> 0).toString(16).padStart(8, '0')), choice);
      if (again.problem !== '') return [{ entry, problem: `cut again: ${again.problem}` }];
      return first.shed || again.shed || first.text === again.text ? [] : [{ entry, problem: `depends on segments: ${first.text} | ${again.text}` }];
    } catch (error) {
      return [{ entry, problem: String(error) }];
    }
  }

  async #run(conversation: StreamConversation, choice: Choice): Promise<{ readonly problem: string; readonly text: string; readonly shed: boolean }> {
    const { requests, framesValid, prefix, bytes } = conversation;
    const client = await FrameClient.open(this.#proxy.port);
    await client.send(choice.once(4) ? [bytes] : cutAt(bytes, chooseCuts(choice, bytes)));
    if (framesValid) {
      await client.send([Buffer.concat([settings([4, 1_000_000]), windowUpdate(0, 1_000_000)])]);
      await client.untilResolved(requests.filter(({ cancelled }) => !cancelled).map(({ streamId }) => streamId));
    }
    await client.end();
    const { streams, goAway } = client.read(new Map(requests.map(({ streamId, method }) => [streamId, method])));
    const complete = this.#upstream.complete.get(prefix) ?? [];
    for (const { streamId } of requests) this.#outcomes.count(outcomeOf(streams.get(streamId), goAway));
    this.#upstream.forget(prefix);
    const problem = judgeConnection(conversation, streams, goAway, complete);
    return { problem, text: textOf(requests, streams), shed: [...streams.values()].some((seen) => isShed(seen) || seen.reset === refusedStream) };
  }

  async #hear(): Promise<FuzzFinding[]> {
    const streams = this.#upstream.streams.splice(0);
    const verdicts = await this.#jury.judge(streams);
    return verdicts.flatMap((problem, i) => {
      if (problem === '') return [];
      const bytes = Buffer.from(streams[i]?.bytes ?? []).toString('latin1');
      return [{ entry: { layer: 'http1-codec', name: caseName(bytes), seed: 0, bytes, setting: { kind: 'request', limits: { bytesMax: 65_536, fieldsMax: 200 }, cuts: [] } }, problem }];
    });
  }
}

/** Beyond what the gateway can do now (RFC 9113 section 8.7): it may be asked again. */
const refusedStream = 7;
const parallel = 16;
const batch = 150;
const warmCases = 300;

function judgeConnection({ requests, framesValid }: StreamConversation, streams: ReadonlyMap<number, SeenStream>, goAway: number, complete: readonly SeenRequest[]): string {
  if (framesValid && goAway !== 0) return `valid frames end the connection with ${goAway}`;
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
  if (isShed(seen) || seen.reset === refusedStream) return '';
  if (seen.status >= 300 || seen.status === 0) return `well-formed, and answered with ${seen.status} (reset ${seen.reset}): ${JSON.stringify(request.fields)}`;
  const body = request.method === 'HEAD' ? '' : echoBody(request.token) ?? '';
  if (!seen.ended || seen.body !== body) return `a body of ${body.length} bytes came as ${seen.body.length}, ${seen.ended ? 'ended' : 'not ended'}`;
  return seen.headers.some(([name, value]) => name === 'x-read' && value === digest(request.body)) ? '' : 'the upstream read another body';
}

function outcomeOf(seen: SeenStream | undefined, goAway: number): string {
  if (seen === undefined) return goAway === 0 ? 'no answer' : 'connection ended';
  if (seen.status === 0) return 'reset';
  return seen.status < 400 ? (seen.ended ? 'served' : 'cut') : `${seen.status} ${seen.headers.find(([name]) => name === 'x-remora-reason')?.[1] ?? ''}`;
}

function textOf(requests: readonly StreamRequest[], streams: ReadonlyMap<number, SeenStream>): string {
  return JSON.stringify(requests.map(({ streamId, cancelled }) => {
    const seen = streams.get(streamId);
    return cancelled || seen === undefined ? [] : [seen.status, seen.ended, seen.body.length, seen.status === 0 ? seen.reset : 0];
  }));
}
