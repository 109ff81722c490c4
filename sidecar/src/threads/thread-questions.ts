import { questionsMax, type Questions } from '@remora/policy-kit/questions';

/** Questions of one data thread to the control thread: what is under way, and who waits for it. */
export class ThreadQuestions implements Questions {
  readonly #send: (id: number, topic: string, body: Uint8Array) => void;
  readonly #waiting = new Map<number, (answer: Uint8Array | null) => void>();
  #nextId = 0;
  #quiet: PromiseWithResolvers<void> | null = null;

  constructor(send: (id: number, topic: string, body: Uint8Array) => void) {
    this.#send = send;
  }

  get underway(): number {
    return this.#waiting.size;
  }

  ask(topic: string, body: Uint8Array, answered: (answer: Uint8Array | null) => void): boolean {
    if (this.#waiting.size >= questionsMax) return false;
    const id = this.#nextId++;
    this.#waiting.set(id, answered);
    this.#send(id, topic, body);
    return true;
  }

  /** An answer for a question that was given up is dropped. */
  answer(id: number, body: Uint8Array | null): void {
    const answered = this.#waiting.get(id);
    this.#waiting.delete(id);
    answered?.(body);
    if (this.#waiting.size > 0) return;
    this.#quiet?.resolve();
    this.#quiet = null;
  }

  /** Resolves when nothing is under way. */
  quiet(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    return (this.#quiet ??= Promise.withResolvers<void>()).promise;
  }
}
