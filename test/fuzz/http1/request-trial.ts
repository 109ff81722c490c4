import { clientPatienceMs, type GatewayUnderFuzz } from '../gateway-layer.ts';
import { caseName, type CorpusEntry, type FuzzFinding } from '../layer.ts';
import { cutAt, cutsBySeed, everyCut, everyCutMax, type Cuts } from '../segmentation.ts';
import type { Transport } from '../transport.ts';
import { UpstreamTrial } from '../upstream-trial.ts';
import { readAnswers } from './answer-reader.ts';
import { generateConversation, type Conversation } from './conversation.ts';
import { EchoUpstream } from './echo-upstream.ts';
import { differentOutcome, disturbanceOf, judgeOutcome, type Outcome } from './exchange-verdict.ts';
import { planOf } from './plan.ts';

/** HTTP/1.1 requests, good and hostile; each conversation twice, cut differently. */
export class Http1RequestTrial extends UpstreamTrial<EchoUpstream> {
  static async start(this: void, layer: string, transport: Transport): Promise<Http1RequestTrial> {
    return new Http1RequestTrial(layer, await EchoUpstream.start(transport));
  }

  judge(seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    return this.#judge(generateConversation(seed), seed, gateway);
  }

  override async replay(entry: CorpusEntry, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    if (entry.bytes === '') return this.judge(entry.seed, gateway);
    const { prefix, valid } = entry.setting as { readonly prefix: string; readonly valid: boolean };
    const found: FuzzFinding[] = [];
    for (let time = 0; time < 3; time++) found.push(...await this.#judge({ prefix, valid, requests: [], text: entry.bytes }, entry.seed + time, gateway));
    return found;
  }

  async #judge(conversation: Conversation, seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    // Another protocol: HTTP/2 by prior knowledge.
    if (conversation.text.startsWith('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')) return [];
    const problem = await this.#twice(conversation, seed, gateway);
    if (problem === '') return [];
    const { prefix, valid, text } = conversation;
    return [{ entry: { layer: this.layer, name: caseName(text), seed, bytes: text, setting: { prefix, valid } }, problem }];
  }

  /** The same bytes under other tokens and cut in another way come to the same. */
  async #twice(conversation: Conversation, seed: number, gateway: GatewayUnderFuzz): Promise<string> {
    const first = await this.#run(conversation, cutsBySeed(seed ^ 0x3779_b9), gateway);
    const problem = judgeOutcome(first);
    if (problem !== '') return problem;
    const further = gateway.exhaustive && conversation.text.length <= everyCutMax ? everyCut(conversation.text.length) : [cutsBySeed(seed ^ 0x1a2b_3c4d)];
    for (const [nth, cuts] of further.entries()) {
      const again = await this.#run(conversation, cuts, gateway);
      const verdict = judgeOutcome(again);
      if (verdict !== '') return `cut again (${nth}): ${verdict}`;
      const different = differentOutcome(first, again);
      if (different !== '') return `depends on segments (${nth}): ${different}`;
    }
    return '';
  }

  /** Each run has tokens of its own. */
  async #run(conversation: Conversation, cuts: Cuts, gateway: GatewayUnderFuzz): Promise<Outcome> {
    const outcome = await gateway.undisturbed.run(() => {
      const prefix = this.nextPrefix();
      return this.#send({ ...conversation, prefix, text: conversation.text.replaceAll(conversation.prefix, prefix) }, cuts, gateway);
    }, disturbanceOf);
    gateway.outcomes.countAnswers(outcome.read.answers, outcome.plan.requests.length);
    return outcome;
  }

  async #send(conversation: Conversation, cuts: Cuts, gateway: GatewayUnderFuzz): Promise<Outcome> {
    const bytes = Buffer.from(conversation.text, 'latin1');
    const plan = planOf(bytes);
    const client = await gateway.open();
    await client.writePieces(cutAt(bytes, cuts(bytes)));
    client.socket.end();
    const ended = await client.untilClosed(clientPatienceMs);
    const methods = plan.requests.map(({ method }) => method);
    const read = readAnswers(client.text, methods, ended === 'end');
    client.destroy();
    // The upstream may still be told that a body broke off; whole requests were answered, so they are there.
    const { prefix } = conversation;
    const outcome = { conversation, plan, read, ended, complete: this.upstream.complete.get(prefix) ?? [], begun: this.upstream.begun.get(prefix) ?? [] };
    this.upstream.forget(prefix);
    return outcome;
  }
}
