import { caseName, type CorpusEntry, type FuzzFinding } from '../layer.ts';
import { Jury, type CapturedStream } from './jury.ts';

/** What waits for the witnesses: they cost more than our own readers, so streams go before them in batches. */
export class Hearing {
  readonly #jury: Jury;
  #waiting: { readonly stream: CapturedStream; readonly entry: CorpusEntry }[] = [];

  private constructor(jury: Jury) {
    this.#jury = jury;
  }

  static async open(): Promise<Hearing> {
    return new Hearing(await Jury.call());
  }

  /** Witnesses that are not installed here. */
  get missing(): readonly string[] {
    return this.#jury.missing;
  }

  /** `entry`: the case that a finding names; where it is left out, the stream itself, for the readers alone. */
  add(stream: CapturedStream, entry: CorpusEntry = streamEntry(stream)): void {
    this.#waiting.push({ stream, entry });
  }

  get due(): boolean {
    return this.#waiting.length >= batch;
  }

  async judge(): Promise<FuzzFinding[]> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const verdicts = await this.#jury.judge(waiting.map(({ stream }) => stream));
    return waiting.flatMap(({ entry }, i) => (verdicts[i] ? [{ entry, problem: verdicts[i] }] : []));
  }

  get summary(): string {
    return `${this.#jury.requests} requests on ${this.#jury.streams} streams before ${this.#jury.witnesses.map(({ name }) => name).join(', ')}`;
  }

  close(): Promise<void> {
    return this.#jury.dismiss();
  }
}

const batch = 120;

function streamEntry({ bytes }: CapturedStream): CorpusEntry {
  const text = Buffer.from(bytes).toString('latin1');
  return { layer: 'http1-codec', name: caseName(text), seed: 0, bytes: text, setting: { kind: 'request', limits: { bytesMax: 65_536, fieldsMax: 200 }, cuts: [] } };
}
