import { MessageReader, type ReadMessage } from '@remora/http/message-reader';
import { Choice } from '../choice.ts';
import { clientPatienceMs, type GatewayUnderFuzz } from '../gateway-layer.ts';
import { caseName, type CorpusEntry, type FuzzFinding } from '../layer.ts';
import { chooseCuts, cutAt, everyCut, everyCutMax, type Cuts } from '../segmentation.ts';
import type { Transport } from '../transport.ts';
import { UpstreamTrial } from '../upstream-trial.ts';
import type { Disturbance } from '../undisturbed.ts';
import { headerOf, readAnswers, type ReadAnswer, type ReadAnswers } from './answer-reader.ts';
import { isRefusal, isShed } from './exchange-verdict.ts';
import { HostileUpstream } from './hostile-upstream.ts';
import { conserved, fieldsOf } from './plan.ts';
import { tokenPath } from './request-generator.ts';
import { generateResponse } from './response-generator.ts';

/** Answers of HTTP/1.1 upstreams, good and hostile: a client gets the answer, a refusal, or a connection that breaks; never another's answer. */
export class Http1ResponseTrial extends UpstreamTrial<HostileUpstream> {
  #tokens = 0;

  static async start(this: void, layer: string, transport: Transport): Promise<Http1ResponseTrial> {
    return new Http1ResponseTrial(layer, await HostileUpstream.start(transport));
  }

  judge(seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    const choice = new Choice(seed);
    return this.#judge(Array.from({ length: choice.pick([1, 2, 3]) }, () => generateResponse(choice, markOf(choice)).text), seed, gateway);
  }

  override async replay(entry: CorpusEntry, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    if (entry.bytes === '') return this.judge(entry.seed, gateway);
    const { answers } = entry.setting as { readonly answers: readonly string[] };
    const found: FuzzFinding[] = [];
    for (let time = 0; time < 3; time++) found.push(...await this.#judge(answers, entry.seed + time, gateway));
    return found;
  }

  async #judge(texts: readonly string[], seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    const longest = Math.max(...texts.map((text) => text.length));
    const ways: readonly (Cuts | null)[] = gateway.exhaustive && longest <= everyCutMax ? [null, ...everyCut(longest)] : [null];
    for (const cuts of ways) {
      const played = await gateway.undisturbed.run(() => this.#play(texts, seed, cuts, gateway), disturbanceOf);
      gateway.outcomes.countAnswers(played.read.answers, played.scripted.length);
      const problem = played.read.unreadable === '' ? this.#compare(played) : `the client cannot read the answer: ${JSON.stringify(played.read.unreadable)}`;
      if (problem !== '') return [{ entry: { layer: this.layer, name: caseName(texts.join('')), seed, bytes: texts.join('\n---\n'), setting: { answers: texts } }, problem }];
    }
    return [];
  }

  /** A pipeline of requests, each answered as its text says. Marks in the texts become tokens that nobody else has. */
  async #play(texts: readonly string[], seed: number, cuts: Cuts | null, gateway: GatewayUnderFuzz): Promise<Played> {
    const choice = new Choice(seed ^ 0x1234_567);
    const scripted = texts.map((text) => {
      const token = (++this.#tokens).toString(16).padStart(16, '0');
      const bytes = Buffer.from(text.replaceAll(marks, token), 'latin1');
      const meaning = meaningOf(bytes);
      // What comes behind a whole answer comes with its end: later, nobody could tell it from the answer to the next request.
      const together = (meaning.kind === 'whole' && !meaning.clean) || choice.once(3);
      const spoils = meaning.kind !== 'whole' || !meaning.clean;
      this.upstream.scripts.set(token, { pieces: together ? [bytes] : cutAt(bytes, cuts === null ? chooseCuts(choice, bytes) : cuts(bytes)), ends: spoils, spoils });
      return { token, bytes, meaning };
    });
    const client = await gateway.open();
    client.write(scripted.map(({ token }) => `GET ${tokenPath(token)} HTTP/1.1\r\nHost: app\r\n\r\n`).join(''));
    client.socket.end();
    const ended = await client.untilClosed(clientPatienceMs);
    const { text } = client;
    client.destroy();
    for (const { token } of scripted) this.upstream.scripts.delete(token);
    return { scripted, read: readAnswers(text, [], ended === 'end'), text, ended };
  }

  #compare({ scripted, read: { answers }, text, ended }: Played): string {
    const strangers = [...text.matchAll(/\b0[0-9a-f]{15}/g)].map(([token]) => token).filter((token) => !scripted.some((own) => own.token === token) && this.upstream.scripts.has(token));
    if (strangers.length > 0) return `bytes of ${strangers[0]}, which is another client's`;
    const { reused } = this.upstream;
    if (reused.length > 0) return `a request was sent on a connection that was spoiled: ${reused.splice(0).join()}`;
    const before = answers.at(-1);
    for (const [n, { token, meaning }] of scripted.entries()) {
      const answer = answers[n];
      // What breaks a body breaks the client's connection, and a reset takes along what the client has not read.
      const swept = ended === 'reset' && scripted.slice(n).some(({ meaning: { kind } }) => kind === 'head');
      if (answer === undefined) return swept || (before !== undefined && (!before.complete || closes(before))) ? '' : `no answer to request ${n} (${token}), the connection ended ${ended === 'end' ? 'in an orderly way' : 'with a reset'}`;
      // The same for the end of one that was whole: its beginning came.
      if (!answer.complete && swept && meaning.kind === 'whole' && Buffer.concat(meaning.final.body).toString('latin1').startsWith(answer.body)) continue;
      const problem = judgeAnswer(meaning, answer, token);
      if (problem !== '') return `answer ${n}: ${problem}`;
    }
    return answers.length > scripted.length ? `${answers.length} answers to ${scripted.length} requests` : '';
  }
}

/** One pipeline, and what came back. */
interface Played {
  readonly scripted: readonly Scripted[];
  readonly read: ReadAnswers;
  readonly text: string;
  readonly ended: 'end' | 'reset';
}

/** A served answer that is whole by itself does not end the client's connection, save the last, behind which the client's side ends. */
function disturbanceOf({ scripted, read: { answers } }: Played): Disturbance {
  const unasked = answers.some((answer, n) => !isRefusal(answer) && closes(answer) && n < scripted.length - 1 && scripted[n]?.meaning.kind === 'whole' && scripted[n].meaning.clean);
  return { sheds: answers.filter(isShed).length, endsKeepAlive: unasked };
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
  if (isRefusal(answer)) return answer.status === 502 ? (meaning.kind === 'whole' ? `a valid answer became ${answer.status} ${headerOf(answer, 'x-remora-reason')}` : '') : `refused with ${answer.status}`;
  if (meaning.kind === 'none') return `the upstream sent no valid answer, the client got ${answer.status} (${token})`;
  const { head, body } = meaning.final;
  if (answer.status !== head.status) return `status ${head.status} became ${answer.status}`;
  const sent = Buffer.concat(body).toString('latin1');
  if (meaning.kind === 'head') return answer.complete ? 'a body that breaks off came as a whole one' : sent.startsWith(answer.body) ? '' : 'another body';
  if (!answer.complete || answer.body !== sent) return `a body of ${sent.length} bytes became ${answer.body.length}${answer.complete ? '' : ', incomplete'}`;
  const [before, after] = [conserved(fieldsOf(head)), conserved(answer.headers)];
  return before === after ? '' : `headers changed: ${JSON.stringify(before)} | ${JSON.stringify(after)}`;
}

function closes(answer: ReadAnswer): boolean {
  return headerOf(answer, 'connection') === 'close';
}

/** Stands in generated texts where the token of the request comes. */
function markOf(choice: Choice): string {
  return `a${choice.hex(15)}`;
}

const marks = /a[0-9a-f]{15}/g;
