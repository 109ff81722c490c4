import type { Random } from '@remora/core/random';
import { decodeAnswers, decodeAsks } from '@remora/policy-kit/store/store-questions';
import type { ManualClock } from '@remora/testing/manual-clock';
import { MemoryCounts } from '@remora/testing/memory-counts';

const moods = ['well', 'slow', 'late', 'lossy', 'hanging', 'doubling', 'away'] as const;

/** The store of the Mesh and the way to it: answers come late, twice counted, or never; it goes away and returns. */
export class SimStore {
  readonly counts: MemoryCounts;
  /** Granted, and then lost: with an answer, with who had asked, or counted twice. */
  lost = 0;
  readonly #clock: ManualClock;
  readonly #random: Random;
  readonly #due: { readonly at: number; readonly run: () => void }[] = [];
  #mood: (typeof moods)[number] = 'well';
  #moodUntil = 0;
  #healed = false;

  constructor(clock: ManualClock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.counts = new MemoryCounts(clock);
  }

  heal(): void {
    this.#healed = true;
    this.#mood = 'well';
  }

  tick(): void {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#healed && nowMs >= this.#moodUntil) {
      this.#mood = moods[Math.floor(this.#random.next() * moods.length)] ?? 'well';
      this.#moodUntil = nowMs + 50 + this.#random.next() * 600;
    }
    for (const due of this.#due.filter(({ at }) => at <= nowMs)) {
      this.#due.splice(this.#due.indexOf(due), 1);
      due.run();
    }
  }

  /** As the control thread does, which gives up at last: `answered` is called once, null where nothing was heard. False of `alive`: who asked has crashed. */
  ask(body: Uint8Array, alive: () => boolean, answered: (answer: Uint8Array | null) => void): void {
    const chance = this.#random.next();
    if (this.#mood === 'away') {
      this.#loseReturned(body);
      return this.#answer(0, null, alive, answered);
    }
    if (this.#mood === 'hanging') {
      this.#loseReturned(body);
      return this.#answer(patienceMs, null, alive, answered);
    }
    // Clients send nothing again, and what is given back is on one connection behind what was taken: it is not counted twice.
    if (this.#mood === 'doubling' && decodeAsks(body).every(({ want }) => want > 0)) this.lost += grantedIn(this.counts.answer(body));
    const answer = this.counts.answer(body);
    if (this.#mood === 'lossy' && chance < 0.5) {
      this.lost += grantedIn(answer);
      return this.#answer(patienceMs, null, alive, answered);
    }
    this.#answer(this.#mood === 'late' ? chance * patienceMs : this.#mood === 'slow' ? chance * 30 : chance * 5, answer, alive, answered);
  }

  #answer(delayMs: number, answer: Uint8Array | null, alive: () => boolean, answered: (answer: Uint8Array | null) => void): void {
    this.#due.push({
      at: this.#clock.monotonicMs() + delayMs,
      run: () => {
        if (alive()) answered(answer);
        else this.lost += grantedIn(answer);
      },
    });
  }

  #loseReturned(body: Uint8Array): void {
    for (const { want } of decodeAsks(body)) this.lost += Math.max(0, -want);
  }
}

const patienceMs = 600;

function grantedIn(answer: Uint8Array | null): number {
  return answer === null ? 0 : decodeAnswers(answer).reduce((sum, one) => sum + (one?.granted ?? 0), 0);
}
