import { headerOf, type ReadAnswer } from './http1/answer-reader.ts';
import { isRefusal } from './http1/exchange-verdict.ts';

/** How requests ended, for the summary: who reads it sees that a generator still reaches all of it. */
export class Outcomes {
  readonly #counts = new Map<string, number>();

  count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** `expected` requests, and what a client of HTTP/1.1 read. */
  countAnswers(answers: readonly ReadAnswer[], expected: number): void {
    for (const answer of answers) this.count(isRefusal(answer) ? `${answer.status} ${headerOf(answer, 'x-remora-reason')}` : answer.complete ? 'served' : 'cut');
    for (let missing = answers.length; missing < expected; missing++) this.count('behind the end');
  }

  get text(): string {
    return [...this.#counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${count} ${name}`).join(', ');
  }
}
