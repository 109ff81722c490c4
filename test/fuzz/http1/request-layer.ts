import { RawClient } from '../../processes/raw-client.ts';
import { untilReachable } from '../../conformance/connect/reachable.ts';
import { ProxiesUnderTest, type Proxy } from '../../conformance/proxy-under-test.ts';
import { Choice } from '../choice.ts';
import { caseName, type CorpusEntry, type FuzzFinding, type FuzzLayer } from '../layer.ts';
import { chooseCuts, cutAt } from '../segmentation.ts';
import { Outcomes } from '../outcomes.ts';
import { Vitals } from '../vitals.ts';
import { Jury } from '../witness/jury.ts';
import { readAnswers } from './answer-reader.ts';
import { generateConversation, type Conversation } from './conversation.ts';
import { EchoUpstream } from './echo-upstream.ts';
import { differentOutcome, judgeOutcome, type Outcome } from './exchange-verdict.ts';
import { planOf } from './plan.ts';

/** HTTP/1.1 requests, good and hostile, through a gateway process; each conversation twice, cut differently. */
export class Http1RequestLayer implements FuzzLayer {
  readonly name: string;
  cases = 0;
  readonly #hops: 1 | 2;
  #jury!: Jury;
  #proxies!: ProxiesUnderTest;
  #upstream!: EchoUpstream;
  #proxy!: Proxy;
  #vitals!: Vitals;
  /** Half a token that the second run of a conversation has instead of its own. */
  #nextPrefix = 0;
  readonly #outcomes = new Outcomes();

  /** 2: through a gateway and the sidecar of the upstream. */
  constructor(hops: 1 | 2 = 1) {
    this.#hops = hops;
    this.name = hops === 1 ? 'http1-requests' : 'http1-requests-two-hops';
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
    const seeds = Array.from({ length: parallel }, (_, nth) => (seed + nth) >>> 0);
    const found = (await Promise.all(seeds.map(async (each) => {
      const conversation = generateConversation(each);
      return this.#judge(conversation, each);
    }))).flat();
    if (this.cases > warmCases) this.#vitals.warm();
    return [...found, ...(this.#upstream.streams.length >= batch ? await this.#hear() : [])];
  }

  async replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]> {
    const { prefix, valid } = entry.setting as { readonly prefix: string; readonly valid: boolean };
    const found: FuzzFinding[] = [];
    for (let time = 0; time < 3; time++) found.push(...await this.#judge({ prefix, valid, requests: [], text: entry.bytes }, entry.seed + time));
    return found;
  }

  async end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }> {
    this.#upstream.drop();
    const findings = await this.#hear();
    const afterwards = await this.#vitals.compare();
    if (afterwards !== '') findings.push({ entry: { layer: this.name, name: 'afterwards', seed: 0, bytes: '', setting: {} }, problem: afterwards });
    await this.#proxies.end();
    await this.#upstream.close();
    await this.#jury.dismiss();
    const names = this.#jury.witnesses.map(({ name }) => name).join(', ');
    return { findings, summary: `${this.cases} conversations (${this.#outcomes.text}); ${this.#jury.requests} requests on ${this.#jury.streams} streams before ${names}; ${this.#vitals.summary}` };
  }

  async #judge(conversation: Conversation, seed: number): Promise<FuzzFinding[]> {
    this.cases++;
    // Another protocol: HTTP/2 by prior knowledge.
    if (conversation.text.startsWith('PRI * HTTP/2.0')) return [];
    const choice = new Choice(seed ^ 0x3779_b9);
    const first = await this.#run(conversation, choice);
    const problem = judgeOutcome(first) || await this.#again(first, choice);
    if (problem === '') return [];
    const { prefix, valid, text } = conversation;
    return [{ entry: { layer: this.name, name: caseName(text), seed, bytes: text, setting: { prefix, valid } }, problem }];
  }

  /**
   * The same bytes under other tokens, cut in another way. An upstream that closes an idle connection just when it is used again makes a 502 of its own:
   * then the later outcome is compared with a third.
   */
  async #again(first: Outcome, choice: Choice, triesLeft = 2): Promise<string> {
    const { conversation } = first;
    const prefix = (this.#nextPrefix++ >>> 0).toString(16).padStart(8, '0');
    const second = await this.#run({ ...conversation, prefix, text: conversation.text.replaceAll(conversation.prefix, prefix) }, choice);
    const problem = judgeOutcome(second);
    if (problem !== '') return `cut again: ${problem}`;
    if (first.ended === 'reset' || second.ended === 'reset') return '';
    const different = differentOutcome(first, second);
    if (different.includes('upstream-reset') && triesLeft > 0) return this.#again(second, choice, triesLeft - 1);
    return different === '' ? '' : `depends on segments: ${different}`;
  }

  async #run(conversation: Conversation, choice: Choice): Promise<Outcome> {
    const bytes = Buffer.from(conversation.text, 'latin1');
    const plan = planOf(bytes);
    const client = await RawClient.open(this.#proxy.port);
    await client.writePieces(choice.once(4) ? [bytes] : cutAt(bytes, chooseCuts(choice, bytes)));
    client.socket.end();
    const ended = await client.untilClosed();
    const methods = plan.requests.map(({ method }) => method);
    const read = readAnswers(client.text, methods, ended === 'end');
    client.destroy();
    this.#outcomes.countAnswers(read.answers, plan.requests.length);
    // The upstream may still be told that a body broke off; whole requests were answered, so they are there.
    const { prefix } = conversation;
    const outcome = { conversation, plan, read, ended, complete: this.#upstream.complete.get(prefix) ?? [], begun: this.#upstream.begun.get(prefix) ?? [] };
    this.#upstream.forget(prefix);
    return outcome;
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

const parallel = 24;
const batch = 150;
const warmCases = 500;
