import type { CorpusEntry, FuzzFinding, FuzzLayer } from './layer.ts';
import { Hearing } from './witness/hearing.ts';

/** Cases of single parts of the data path, in this process; a share of what they would forward goes before the witnesses. */
export abstract class InProcessLayer implements FuzzLayer {
  abstract readonly name: string;
  /** What its cases are, for the summary. */
  protected abstract readonly noun: string;
  protected abstract readonly casesPerRound: number;
  protected hearing!: Hearing;
  cases = 0;

  async begin(): Promise<readonly string[]> {
    this.hearing = await Hearing.open();
    return this.hearing.missing;
  }

  async round(seed: number): Promise<readonly FuzzFinding[]> {
    const findings: FuzzFinding[] = [];
    for (let nth = 0; nth < this.casesPerRound; nth++) {
      this.cases++;
      findings.push(...this.one((seed + nth) >>> 0));
    }
    if (this.hearing.due) findings.push(...await this.hearing.judge());
    return findings;
  }

  async replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]> {
    return [...this.again(entry), ...await this.hearing.judge()];
  }

  async end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }> {
    const findings = await this.hearing.judge();
    await this.hearing.close();
    return { findings, summary: `${this.cases} ${this.noun}; ${this.hearing.summary}` };
  }

  /** The case of this seed, judged. */
  protected abstract one(seed: number): readonly FuzzFinding[];

  /** A case that was found before. */
  protected abstract again(entry: CorpusEntry): readonly FuzzFinding[];
}
