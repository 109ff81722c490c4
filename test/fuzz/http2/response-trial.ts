import { Choice } from '../choice.ts';
import { clientPatienceMs, type GatewayUnderFuzz } from '../gateway-layer.ts';
import { headerOf, readAnswers, type ReadAnswer, type ReadAnswers } from '../http1/answer-reader.ts';
import { isRefusal, isShed } from '../http1/exchange-verdict.ts';
import { conserved } from '../http1/plan.ts';
import { tokenPath } from '../http1/request-generator.ts';
import { caseName, type CorpusEntry, type FuzzFinding } from '../layer.ts';
import type { Transport } from '../transport.ts';
import { UpstreamTrial } from '../upstream-trial.ts';
import { HostileHttp2Upstream, type HostileConnection } from './hostile-http2-upstream.ts';
import { generateResponseFrames, type FramedResponse } from './response-frames.ts';

/**
 * Answers of HTTP/2 upstreams, good and hostile, to clients of HTTP/1.1: nobody's answer is split, mixed up or made whole. Streams share connections: in
 * one batch of cases of three some break theirs and take others along.
 */
export class Http2ResponseTrial extends UpstreamTrial<HostileHttp2Upstream> {
  #tokens = 0;

  static async start(this: void, layer: string, transport: Transport): Promise<Http2ResponseTrial> {
    return new Http2ResponseTrial(layer, await HostileHttp2Upstream.start(transport));
  }

  judge(seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    return this.#judge(seed, hasChaos(seed), gateway);
  }

  override replay(entry: CorpusEntry, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    return this.#judge(entry.seed, (entry.setting as { readonly chaos?: boolean }).chaos ?? hasChaos(entry.seed), gateway);
  }

  async #judge(seed: number, chaos: boolean, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    const played = await gateway.undisturbed.run(() => this.#play(seed, chaos, gateway), ({ read: { answers } }) => ({ sheds: answers.filter(isShed).length, endsKeepAlive: false }));
    gateway.outcomes.countAnswers(played.read.answers, 1);
    const problem = this.#compare(played);
    if (problem === '') return [];
    const bytes = Buffer.concat(played.response?.frames ?? []).toString('latin1');
    return [{ entry: { layer: this.layer, name: caseName(`${seed} ${bytes}`), seed, bytes, setting: { chaos } }, problem }];
  }

  async #play(seed: number, chaos: boolean, gateway: GatewayUnderFuzz): Promise<Played> {
    const token = (++this.#tokens).toString(16).padStart(16, '0');
    let response: FramedResponse | null = null;
    const connections: HostileConnection[] = [];
    this.upstream.scripts.set(token, (streamId, connection) => {
      response = generateResponseFrames(new Choice(seed), streamId, token, chaos);
      connections.push(connection);
      if (response.kind === 'connection') connection.broken = true;
      return response.frames;
    });
    const client = await gateway.open();
    client.write(`GET ${tokenPath(token)} HTTP/1.1\r\nHost: app\r\n\r\n`);
    client.socket.end();
    const ended = await client.untilClosed(clientPatienceMs);
    const { text } = client;
    client.destroy();
    this.upstream.scripts.delete(token);
    return { token, response, connections, read: readAnswers(text, [], ended === 'end'), text, ended };
  }

  #compare({ token, response, connections, read: { answers, unreadable }, text, ended }: Played): string {
    if (unreadable !== '') return `the client cannot read the answer: ${JSON.stringify(unreadable)}`;
    const stranger = [...text.matchAll(/\b0[0-9a-f]{15}/g)].map(([each]) => each).find((each) => each !== token && this.upstream.scripts.has(each));
    if (stranger !== undefined) return `bytes of ${stranger}, which is another client's`;
    return judgeAnswers(response, answers, token, connections.some(({ broken }) => broken), ended);
  }
}

function hasChaos(seed: number): boolean {
  return (seed >>> 5) % 3 === 0;
}

/** One request, what was said to it, and what came back. */
interface Played {
  readonly token: string;
  readonly response: FramedResponse | null;
  readonly connections: readonly HostileConnection[];
  readonly read: ReadAnswers;
  readonly text: string;
  readonly ended: 'end' | 'reset';
}

function judgeAnswers(response: FramedResponse | null, answers: readonly ReadAnswer[], token: string, broken: boolean, ended: 'end' | 'reset'): string {
  if (answers.length > 1) return `${answers.length} answers to one request`;
  const [answer] = answers;
  // What breaks a body breaks the client's connection, and a reset takes along what the client has not read. Else there is something to tell.
  if (answer === undefined) return ended === 'reset' && (response?.kind !== 'whole' || broken) ? '' : `no answer, the connection ended ${ended === 'end' ? 'in an orderly way' : 'with a reset'}`;
  if (isRefusal(answer) && answer.status === 504) return `waited for until ${headerOf(answer, 'x-remora-reason')}`;
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
