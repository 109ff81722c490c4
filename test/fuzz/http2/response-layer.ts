import { ProxiesUnderTest, type Proxy } from '../../conformance/proxy-under-test.ts';
import { RawClient } from '../../processes/raw-client.ts';
import { Choice } from '../choice.ts';
import { headerOf, readAnswers, type ReadAnswer } from '../http1/answer-reader.ts';
import { isRefusal, isShed } from '../http1/exchange-verdict.ts';
import { conserved } from '../http1/plan.ts';
import { tokenPath } from '../http1/request-generator.ts';
import { caseName, type CorpusEntry, type FuzzFinding, type FuzzLayer } from '../layer.ts';
import { Outcomes } from '../outcomes.ts';
import { Vitals } from '../vitals.ts';
import { HostileHttp2Upstream, type HostileConnection } from './hostile-http2-upstream.ts';
import { generateResponseFrames, type FramedResponse } from './response-frames.ts';

/** Answers of HTTP/2 upstreams, good and hostile, through a gateway process to clients of HTTP/1.1: nobody's answer is split, mixed up or made whole. */
export class Http2ResponseLayer implements FuzzLayer {
  readonly name = 'http2-responses';
  cases = 0;
  #proxies!: ProxiesUnderTest;
  #upstream!: HostileHttp2Upstream;
  #proxy!: Proxy;
  #vitals!: Vitals;
  #tokens = 0;
  readonly #outcomes = new Outcomes();

  async begin(): Promise<readonly string[]> {
    this.#upstream = await HostileHttp2Upstream.start();
    this.#proxies = await ProxiesUnderTest.start();
    this.#proxy = await this.#proxies.proxy({ upstreamPort: this.#upstream.port, protocol: 'http2', documents: shortPatience });
    this.#vitals = await Vitals.take(this.#proxy);
    return [];
  }

  /** Streams share connections: in a round with chaos some break theirs and take others along. */
  async round(seed: number): Promise<readonly FuzzFinding[]> {
    const chaos = seed % 3 === 0;
    const found = (await Promise.all(Array.from({ length: parallel }, (_, nth) => this.#judge((seed + nth) >>> 0, chaos)))).flat();
    if (this.cases > warmCases) this.#vitals.warm();
    return found;
  }

  async replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]> {
    return this.#judge(entry.seed, (entry.setting as { readonly chaos: boolean }).chaos);
  }

  async end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }> {
    const afterwards = await this.#vitals.compare();
    const findings = afterwards === '' ? [] : [{ entry: { layer: this.name, name: 'afterwards', seed: 0, bytes: '', setting: { chaos: false } }, problem: afterwards }];
    await this.#proxies.end();
    await this.#upstream.close();
    return { findings, summary: `${this.cases} requests (${this.#outcomes.text}); ${this.#vitals.summary}` };
  }

  async #judge(seed: number, chaos: boolean): Promise<FuzzFinding[]> {
    this.cases++;
    const token = (++this.#tokens).toString(16).padStart(16, '0');
    let response: FramedResponse | null = null;
    const connections: HostileConnection[] = [];
    this.#upstream.scripts.set(token, (streamId, connection) => {
      response = generateResponseFrames(new Choice(seed), streamId, token, chaos);
      connections.push(connection);
      if (response.kind === 'connection') connection.broken = true;
      return response.frames;
    });
    const client = await RawClient.open(this.#proxy.port);
    client.write(`GET ${tokenPath(token)} HTTP/1.1\r\nHost: app\r\n\r\n`);
    client.socket.end();
    const ended = await client.untilClosed();
    const { answers, unreadable } = readAnswers(client.text, [], ended === 'end');
    client.destroy();
    const strangers = [...client.text.matchAll(/\b0[0-9a-f]{15}/g)].map(([each]) => each).filter((each) => each !== token && this.#upstream.scripts.has(each));
    this.#upstream.scripts.delete(token);
    this.#outcomes.countAnswers(answers, 1);
    const problem = unreadable !== '' ? `the client cannot read the answer: ${JSON.stringify(unreadable)}` : strangers.length > 0 ? `bytes of ${strangers[0]}, which is another client's` : judgeAnswers(response, answers, token, connections.some(({ broken }) => broken), ended);
    if (problem === '') return [];
    const bytes = Buffer.concat((response as FramedResponse | null)?.frames ?? []).toString('latin1');
    return [{ entry: { layer: this.name, name: caseName(`${seed} ${bytes}`), seed, bytes, setting: { chaos } }, problem }];
  }
}

const parallel = 24;
const warmCases = 500;
const shortPatience = '{kind: Policy, name: NAME-patience, target: {gateway: NAME}, timeout: {request: 3s, idle: 3s}}';

function judgeAnswers(response: FramedResponse | null, answers: readonly ReadAnswer[], token: string, broken: boolean, ended: 'end' | 'reset'): string {
  if (answers.length > 1) return `${answers.length} answers to one request`;
  const [answer] = answers;
  if (answer === undefined) return ended === 'reset' || response?.kind !== 'whole' ? '' : 'no answer, and an orderly end';
  if (isShed(answer)) return '';
  if (isRefusal(answer)) return response !== null && response.kind === 'whole' && !broken ? `a valid answer became ${answer.status} ${headerOf(answer, 'x-remora-reason')}` : '';
  if (response === null) return `nothing was answered, the client got ${answer.status}`;
  if (response.kind !== 'whole') return answer.complete && !mayBeWhole(response, answer) ? `malformed, and the client got a whole ${answer.status}` : '';
  if (!answer.complete) return broken ? '' : `a body of ${response.body.length} bytes became ${answer.body.length}, incomplete`;
  if (answer.status !== response.status || answer.body !== response.body || headerOf(answer, 'x-token') !== token) return `${response.status} with ${response.body.length} bytes became ${answer.status} with ${answer.body.length}`;
  const [before, after] = [conserved(response.fields), conserved(answer.headers)];
  return before === after ? '' : `headers changed: ${JSON.stringify(before)} | ${JSON.stringify(after)}`;
}

/** A fault in what comes behind a body of known length may come too late: then the client has all of it. */
function mayBeWhole({ body }: FramedResponse, answer: ReadAnswer): boolean {
  return headerOf(answer, 'content-length') !== '' && answer.body.length === Number(headerOf(answer, 'content-length')) && answer.body === body;
}
