import { createHash } from 'node:crypto';
import { clientPatienceMs, type GatewayUnderFuzz } from '../gateway-layer.ts';
import { tokenPath } from '../http1/request-generator.ts';
import type { FuzzFinding } from '../layer.ts';
import type { Transport } from '../transport.ts';
import { UpstreamTrial } from '../upstream-trial.ts';
import { askHttp1, askHttp2, type UpgradeOutcome } from './upgrade-client.ts';
import { generateUpgrade, type UpgradePlan } from './upgrade-plan.ts';
import { notSwitched, UpgradeUpstream, type UpgradeVisit } from './upgrade-upstream.ts';
import type { TunnelEnd } from './tunnel-end.ts';

/**
 * Switches of protocols, by `Upgrade` and by extended CONNECT, good and hostile: what is carried arrives as it was sent, both ways, each direction ends on its own, a break is
 * passed on; what is no switch is never one; what a client sent early is never read as a request.
 */
export class UpgradeTrial extends UpstreamTrial<UpgradeUpstream> {
  static async start(this: void, layer: string, transport: Transport): Promise<UpgradeTrial> {
    return new UpgradeTrial(layer, await UpgradeUpstream.start(transport));
  }

  async judge(seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    const { plan, outcome, problem } = await gateway.undisturbed.run(() => this.#play(seed, gateway), (played) => ({ sheds: isShed(played.outcome) ? 1 : 0, endsKeepAlive: false }));
    gateway.outcomes.count(`${plan.version === 1 ? 'HTTP/1.1' : 'HTTP/2'} ${plan.ask.kind} ${outcome.end === null ? String(outcome.status) : plan.ending}`);
    return problem === '' ? [] : [{ entry: { layer: this.layer, name: `seed-${seed}`, seed, bytes: '', setting: {} }, problem: `${problem} (${describe(plan)})` }];
  }

  async #play(seed: number, gateway: GatewayUnderFuzz): Promise<{ readonly plan: UpgradePlan; readonly outcome: UpgradeOutcome; readonly problem: string }> {
    const prefix = this.nextPrefix();
    const plan = generateUpgrade(seed, prefix);
    const asking = `${prefix}00000000`;
    const tokens = { asking, before: Array.from({ length: plan.before }, (_, nth) => `${prefix}0000000${nth + 1}`) };
    const visit: UpgradeVisit = { answer: plan.answer, asked: false, version: 1, end: null };
    this.upstream.visits.set(asking, visit);
    const client = await gateway.open();
    const outcome = await (plan.version === 1 ? askHttp1(plan, tokens, client) : askHttp2(plan, tokens, client));
    let problem = judgeAnswer(plan, outcome, visit, gateway.hopOverHttp2);
    if (problem === '' && outcome.end !== null && visit.end !== null) problem = await carry(plan, outcome.end, visit.end);
    outcome.close();
    problem ||= this.#requests(plan, prefix) || await this.#clean(prefix, gateway);
    this.upstream.visits.delete(asking);
    this.upstream.forget(prefix);
    return { plan, outcome, problem };
  }

  /** Requests that the upstream read: those that were sent as such, nothing of what was bytes. */
  #requests({ ask, answer, early, before }: UpgradePlan, prefix: string): string {
    const { reused } = this.upstream;
    if (reused.length > 0) return `bytes on a connection that was spoiled: ${JSON.stringify(reused.splice(0))}`;
    const read = this.upstream.read.get(prefix) ?? [];
    const most = before + (ask.kind === 'refused' ? 0 : 1) + (ask.kind === 'ignored' && early.length > 0 ? 1 : 0);
    // What had no answer may be asked again.
    if (answer.kind === 'gone') return new Set(read).size <= most ? '' : `the upstream read ${read.join(' ')}`;
    return new Set(read).size === read.length && read.length <= most ? '' : `the upstream read ${read.length} requests, at most ${most} were sent: ${read.join(' ')}`;
  }

  async #clean(prefix: string, gateway: GatewayUnderFuzz): Promise<string> {
    const client = await gateway.open();
    client.write(`GET ${tokenPath(`${prefix}cccccccc`)} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`);
    await client.untilClosed(clientPatienceMs);
    const { text } = client;
    client.destroy();
    if (/^HTTP\/1\.1 503 .*x-remora-reason: overload/s.test(text)) return '';
    return text.startsWith('HTTP/1.1 200 ') && text.includes(`${prefix}cccccccc`) && text.endsWith('\r\n\r\nok') ? '' : `a clean request afterwards got ${JSON.stringify(text.slice(0, 300))}`;
  }
}

function isShed({ status, headers }: UpgradeOutcome): boolean {
  return status === 503 && headers.get('x-remora-reason') === 'overload';
}

/** Whether there is a switch where there must be one, and none elsewhere. */
function judgeAnswer({ ask, answer, before, version, early }: UpgradePlan, outcome: UpgradeOutcome, visit: UpgradeVisit, hopOverHttp2: boolean): string {
  if (isShed(outcome)) return '';
  const { status, headers, end, rest } = outcome;
  if (outcome.before.length !== before || outcome.before.some((each) => each !== 200)) return `requests before got ${outcome.before.join(' ') || 'nothing'}`;
  const own = headers.get('x-remora-origin') === 'remora';
  // A name that is no token is a malformed request: a reset.
  if (ask.kind === 'refused') return status === 0 || (own && status >= 400) ? '' : `not refused: ${status}`;
  if (ask.kind === 'ignored' && visit.asked) return 'an upgrade was passed on that is none';
  if (ask.kind !== 'ignored' && !visit.asked) return `the upstream was not asked to switch; the client got ${status} ${headers.get('x-remora-reason') ?? ''}`;
  const switched = end !== null;
  if (switched && (headers.has('content-length') || headers.has('transfer-encoding'))) return 'a switch with a body';
  if (switched !== (visit.end !== null) && answer.kind !== 'odd') return `${switched ? '' : 'not '}switched for the client, ${visit.end === null ? 'not ' : ''}for the upstream; ${status} ${headers.get('x-remora-reason') ?? ''}`;
  const usable = answer.kind === 'switch' || answer.kind === 'odd';
  if (switched && !usable) return `a switch out of ${JSON.stringify(answer.head)}`;
  if (answer.kind === 'switch') return switched ? '' : `no switch: ${status} ${headers.get('x-remora-reason') ?? ''}`;
  if (switched) return '';
  if (passedOver(answer, visit)) return status === notSwitched && !own ? '' : `the upstream's ${notSwitched} became ${status}`;
  const passed = status === answer.status && !own;
  // A success that is no switch: a client of HTTP/2 would take it for one.
  const byHttp2 = version === 2 || (hopOverHttp2 && ask.kind === 'websocket');
  if (answer.kind === 'refusal' && byHttp2 && answer.status < 300) return own && status === 502 ? '' : `${answer.status} to extended CONNECT became ${status}`;
  if (answer.kind === 'refusal') return passed && (version === 2 || closes(rest, answer.body, ask.kind === 'ignored' && early.length > 0 && headers.get('connection') !== 'close')) ? '' : `the upstream's ${answer.status} became ${status}, ${JSON.stringify(rest.slice(0, 200))}`;
  return own && status === 502 ? '' : `no switch and no 502: ${status} ${headers.get('x-remora-reason') ?? ''}`;
}

/** What an upstream of HTTP/2 has no words for. */
function passedOver({ kind, status }: UpgradePlan['answer'], { version, asked }: UpgradeVisit): boolean {
  return version === 2 && (kind === 'wrong' || (kind === 'refusal' && status < 300 && asked));
}

/** Behind the body comes nothing, but where a further request was sent, and the answer did not end the connection: one that overtakes the body of its request does. */
function closes(rest: string, body: string, further: boolean): boolean {
  return further ? rest.startsWith(body) && rest.slice(body.length).startsWith('HTTP/1.1 200 ') : rest === body;
}

/** Both directions, to their ends. */
async function carry({ early, answer, fromClient, fromUpstream, ending }: UpgradePlan, client: TunnelEnd, upstream: TunnelEnd): Promise<string> {
  const up = Buffer.concat([early, ...fromClient]);
  const down = Buffer.concat([answer.early, ...fromUpstream]);
  const sides = { client: { end: client, due: down.length, pieces: fromClient }, upstream: { end: upstream, due: up.length, pieces: fromUpstream } };
  await Promise.all([client.send(fromClient), upstream.send(fromUpstream)]);
  const [first, second] = ending.startsWith('client') ? [sides.client, sides.upstream] : [sides.upstream, sides.client];
  const has = (side: typeof first): Promise<void> => side.end.until(`${side.due} bytes have come`, () => side.end.received.length >= side.due || side.end.state !== 'open', clientPatienceMs);
  const over = (side: typeof first): Promise<void> => side.end.until('the other side has ended', () => side.end.state !== 'open', clientPatienceMs);
  if (ending.endsWith('resets')) {
    await has(second);
    first.end.reset();
    await over(second);
    return compare('to the client', down, client.received, ending === 'upstream resets') || compare('to the upstream', up, upstream.received, ending === 'client resets') || (second.end.state === 'reset' ? '' : 'a break came as an orderly end');
  }
  first.end.end();
  if (ending === 'both') second.end.end();
  else await over(second);
  // A direction whose other one has ended still carries.
  second.end.end();
  await over(first);
  await over(second);
  const states = `${client.state} | ${upstream.state}`;
  return compare('to the client', down, client.received, true) || compare('to the upstream', up, upstream.received, true) || (states === 'end | end' ? '' : `ended as ${states}`);
}

/** `whole`: all of it was waited for. */
function compare(way: string, sent: Buffer, received: Buffer, whole: boolean): string {
  const expected = whole ? sent : sent.subarray(0, received.length);
  if (digest(expected) === digest(received)) return '';
  let at = 0;
  while (at < sent.length && sent[at] === received[at]) at++;
  return `${way}: ${sent.length} bytes sent, ${received.length} received, different from byte ${at}`;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function describe({ version, ask, answer, before, early, fromClient, fromUpstream, ending }: UpgradePlan): string {
  const size = (list: readonly Buffer[]): number => list.reduce((sum, { length }) => sum + length, 0);
  return `HTTP/${version}, ${ask.kind} ${JSON.stringify(ask.lines || ask.protocol)}, ${before} before, ${early.length} early; ${answer.kind} ${answer.status} ${JSON.stringify(answer.head)}, ${answer.early.length} early; ${size(fromClient)} up, ${size(fromUpstream)} down, ${ending}`;
}
