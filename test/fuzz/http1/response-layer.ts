import { MessageReader, type ReadMessage } from '@remora/http/message-reader';
import { ProxiesUnderTest, type Proxy } from '../../conformance/proxy-under-test.ts';
import { RawClient } from '../../processes/raw-client.ts';
import { Choice } from '../choice.ts';
import { caseName, type CorpusEntry, type FuzzFinding, type FuzzLayer } from '../layer.ts';
import { chooseCuts, cutAt } from '../segmentation.ts';
import { Outcomes } from '../outcomes.ts';
import { Vitals } from '../vitals.ts';
import { headerOf, readAnswers, type ReadAnswer } from './answer-reader.ts';
import { isRefusal, isShed } from './exchange-verdict.ts';
import { HostileUpstream } from './hostile-upstream.ts';
import { conserved, fieldsOf } from './plan.ts';
import { tokenPath } from './request-generator.ts';
import { generateResponse } from './response-generator.ts';

/** Answers of upstreams, good and hostile, through a gateway process: a client gets the answer, a refusal, or a connection that breaks; never another's answer. */
export class Http1ResponseLayer implements FuzzLayer {
  readonly name = 'http1-responses';
  cases = 0;
  #proxies!: ProxiesUnderTest;
  #upstream!: HostileUpstream;
  #proxy!: Proxy;
  #vitals!: Vitals;
  #tokens = 0;
  readonly #outcomes = new Outcomes();

  async begin(): Promise<readonly string[]> {
    this.#upstream = await HostileUpstream.start();
    this.#proxies = await ProxiesUnderTest.start();
    this.#proxy = await this.#proxies.proxy({ upstreamPort: this.#upstream.port, documents: shortPatience });
    this.#vitals = await Vitals.take(this.#proxy);
    return [];
  }

  async round(seed: number): Promise<readonly FuzzFinding[]> {
    const found = await Promise.all(Array.from({ length: parallel }, (_, nth) => {
      const each = (seed + nth) >>> 0;
      const choice = new Choice(each);
      return this.#judge(Array.from({ length: choice.pick([1, 2, 3]) }, () => generateResponse(choice, markOf(choice)).text), each);
    }));
    if (this.cases > warmCases) this.#vitals.warm();
    return found.flat();
  }

  async replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]> {
    const { answers } = entry.setting as { readonly answers: readonly string[] };
    const found: FuzzFinding[] = [];
    for (let time = 0; time < 3; time++) found.push(...await this.#judge(answers, entry.seed + time));
    return found;
  }

  async end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }> {
    const afterwards = await this.#vitals.compare();
    const findings = afterwards === '' ? [] : [{ entry: { layer: this.name, name: 'afterwards', seed: 0, bytes: '', setting: { answers: [] } }, problem: afterwards }];
    await this.#proxies.end();
    await this.#upstream.close();
    return { findings, summary: `${this.cases} connections (${this.#outcomes.text}); ${this.#vitals.summary}` };
  }

  /** A pipeline of requests, each answered as its text says. Marks in the texts become tokens that nobody else has. */
  async #judge(texts: readonly string[], seed: number): Promise<FuzzFinding[]> {
    this.cases++;
    const choice = new Choice(seed ^ 0x1234_567);
    const scripted = texts.map((text) => {
      const token = (++this.#tokens).toString(16).padStart(16, '0');
      const bytes = Buffer.from(text.replaceAll(marks, token), 'latin1');
      const meaning = meaningOf(bytes);
      // What comes behind a whole answer comes with its end: later, nobody could tell it from the answer to the next request.
      const together = (meaning.kind === 'whole' && !meaning.clean) || choice.once(3);
      const spoils = meaning.kind !== 'whole' || !meaning.clean;
      this.#upstream.scripts.set(token, { pieces: together ? [bytes] : cutAt(bytes, chooseCuts(choice, bytes)), ends: spoils, spoils });
      return { token, bytes, meaning };
    });
    const client = await RawClient.open(this.#proxy.port);
    client.write(scripted.map(({ token }) => `GET ${tokenPath(token)} HTTP/1.1\r\nHost: app\r\n\r\n`).join(''));
    client.socket.end();
    const ended = await client.untilClosed();
    const read = readAnswers(client.text, [], ended === 'end');
    client.destroy();
    this.#outcomes.countAnswers(read.answers, scripted.length);
    for (const { token } of scripted) this.#upstream.scripts.delete(token);
    const problem = read.unreadable === '' ? this.#compare(scripted, read.answers, client.text, ended) : `the client cannot read the answer: ${JSON.stringify(read.unreadable)}`;
    if (problem === '') return [];
    return [{ entry: { layer: this.name, name: caseName(texts.join('')), seed, bytes: texts.join('\n---\n'), setting: { answers: texts } }, problem }];
  }

  #compare(scripted: readonly Scripted[], answers: readonly ReadAnswer[], text: string, ended: 'end' | 'reset'): string {
    const strangers = [...text.matchAll(/\b0[0-9a-f]{15}/g)].map(([token]) => token).filter((token) => !scripted.some((own) => own.token === token) && this.#upstream.scripts.has(token));
    if (strangers.length > 0) return `bytes of ${strangers[0]}, which is another client's`;
    const { reused } = this.#upstream;
    if (reused.length > 0) return `a request was sent on a connection that was spoiled: ${reused.splice(0).join()}`;
    for (const [n, { token, meaning }] of scripted.entries()) {
      const answer = answers[n];
      if (answer === undefined) return n > 0 && answers.length > 0 && (answers.at(-1)?.complete === false || ended === 'reset' || closes(answers.at(-1))) ? '' : ended === 'reset' ? '' : `no answer to request ${n} (${token}), and an orderly end`;
      const problem = judgeAnswer(meaning, answer, token);
      if (problem !== '') return `answer ${n}: ${problem}`;
    }
    return answers.length > scripted.length ? `${answers.length} answers to ${scripted.length} requests` : '';
  }
}

interface Scripted {
  readonly token: string;
  readonly meaning: Meaning;
}

/** `whole`: a final response came complete; `clean` where nothing follows it. `head`: its body is broken. `none`: there is no valid final response. */
type Meaning = { readonly kind: 'whole' | 'head'; readonly final: ReadMessage; readonly clean: boolean } | { readonly kind: 'none' };

function meaningOf(bytes: Uint8Array): Meaning {
  const reader = new MessageReader('response', { bytesMax: 64 * 1024, fieldsMax: 256 });
  reader.feed(bytes);
  const pendingHead = reader.pending;
  const untilClose = reader.state === 'open' && pendingHead !== null;
  reader.end();
  const final = reader.messages.find(({ head }) => head.status >= 200 || head.status === 101);
  if (final?.head.status === 101) return { kind: 'none' };
  if (reader.messages.filter(({ head }) => head.status < 200).length > interimMax) return { kind: 'none' };
  if (final !== undefined) return { kind: 'whole', final, clean: reader.state === 'open' || reader.state === 'closed' ? !untilClose && reader.messages.at(-1) === final && reader.unread === 0 : false };
  return pendingHead === null || pendingHead.head.status < 200 ? { kind: 'none' } : { kind: 'head', final: pendingHead, clean: false };
}

const interimMax = 16;

function judgeAnswer(meaning: Meaning, answer: ReadAnswer, token: string): string {
  if (isShed(answer)) return '';
  if (isRefusal(answer)) return answer.status === 502 || answer.status === 504 ? (meaning.kind === 'whole' ? `a valid answer became ${answer.status} ${headerOf(answer, 'x-remora-reason')}` : '') : `refused with ${answer.status}`;
  if (meaning.kind === 'none') return `the upstream sent no valid answer, the client got ${answer.status} (${token})`;
  const { head, body } = meaning.final;
  if (answer.status !== head.status) return `status ${head.status} became ${answer.status}`;
  const sent = Buffer.concat(body).toString('latin1');
  if (meaning.kind === 'head') return answer.complete ? 'a body that breaks off came as a whole one' : sent.startsWith(answer.body) ? '' : 'another body';
  if (!answer.complete || answer.body !== sent) return `a body of ${sent.length} bytes became ${answer.body.length}${answer.complete ? '' : ', incomplete'}`;
  const [before, after] = [conserved(fieldsOf(head)), conserved(answer.headers)];
  return before === after ? '' : `headers changed: ${JSON.stringify(before)} | ${JSON.stringify(after)}`;
}

function closes(answer: ReadAnswer | undefined): boolean {
  return answer !== undefined && headerOf(answer, 'connection') === 'close';
}

/** Stands in generated texts where the token of the request comes. */
function markOf(choice: Choice): string {
  return `a${choice.hex(15)}`;
}

const marks = /a[0-9a-f]{15}/g;
const parallel = 24;
const warmCases = 500;
const shortPatience = '{kind: Policy, name: NAME-patience, target: {gateway: NAME}, timeout: {request: 3s, idle: 3s}}';
