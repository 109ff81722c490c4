import { toolPath } from '../../conformance/tools.ts';
import { difference, type Account, type Witness } from './account.ts';
import { haproxy } from './haproxy-witness.ts';
import { nginx } from './nginx-witness.ts';
import { NodeWitness } from './node-witness.ts';
import { ProcessWitness } from './process-witness.ts';
import { ProxyWitness } from './proxy-witness.ts';

/** Bytes that reached an upstream on one connection. */
export interface CapturedStream {
  readonly bytes: Uint8Array;
  /** It ends where a message ends. */
  readonly clean: boolean;
}

/** The parsers that must agree on what reached an upstream. */
export class Jury {
  readonly witnesses: readonly Witness[];
  /** Of parsers that are not installed here. */
  readonly missing: readonly string[];
  streams = 0;
  requests = 0;

  private constructor(witnesses: readonly Witness[], missing: readonly string[]) {
    this.witnesses = witnesses;
    this.missing = missing;
  }

  static async call(): Promise<Jury> {
    const witnesses: Witness[] = [new NodeWitness()];
    const missing: string[] = [];
    for (const [tool, start] of [
      ['go-witness', () => ProcessWitness.go()], ['h11-witness', () => ProcessWitness.h11()], ['nginx', () => ProxyWitness.start(nginx)], ['haproxy', () => ProxyWitness.start(haproxy)],
    ] as const) {
      if (toolPath(tool) === null) missing.push(tool);
      else witnesses.push(await start());
    }
    return new Jury(witnesses, missing);
  }

  /** For each stream '' or how two witnesses read it differently. */
  async judge(streams: readonly CapturedStream[]): Promise<readonly string[]> {
    const verdicts = streams.map(() => '');
    const [first, second, ...rest] = this.witnesses as [Witness, Witness?, ...Witness[]];
    const accounts = [...await first.read(streams.map(({ bytes }) => bytes))];
    this.streams += streams.length;
    for (const [i, account] of accounts.entries()) {
      // Methods that Node does not know are valid all the same (RFC 9110 section 9.1): where it falls silent the next witness takes its place.
      const silent = account.complaint === 'HPE_INVALID_METHOD' || account.requests.some((request) => first.mayRefuse(request));
      if (silent && second !== undefined) accounts[i] = (await second.read([(streams[i] as CapturedStream).bytes]))[0] as Account;
      else if (account.complaint !== '') verdicts[i] = `${first.name} cannot read it: ${account.complaint}`;
      this.requests += accounts[i]?.requests.length ?? 0;
    }
    for (const witness of second === undefined ? [] : [second, ...rest]) {
      const heard = [...streams.keys()].filter((i) => verdicts[i] === '' && ((streams[i] as CapturedStream).clean || !witness.wholeOnly));
      const testimonies = await witness.read(heard.map((i) => (streams[i] as CapturedStream).bytes));
      for (const [n, i] of heard.entries()) {
        const found = compare(accounts[i] as Account, testimonies[n] as Account, witness, (streams[i] as CapturedStream).clean);
        if (found !== '') verdicts[i] = `${first.name} | ${witness.name}: ${found}`;
      }
    }
    return verdicts;
  }

  async dismiss(): Promise<void> {
    for (const witness of this.witnesses) await witness.close();
  }
}

/** Up to the first request that the witness refuses for reasons of its own; complaints about the end of a stream that was cut are none. */
function compare(reference: Account, testimony: Account, witness: Witness, clean: boolean): string {
  const silentFrom = reference.requests.findIndex((request) => witness.mayRefuse(request));
  if (silentFrom < 0) return difference(reference, clean ? testimony : { ...testimony, complaint: '' }, witness.silentOn);
  const head = (account: Account): Account => ({ requests: account.requests.slice(0, silentFrom), complaint: '' });
  return difference(head(reference), head(testimony), witness.silentOn);
}
