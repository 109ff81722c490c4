/**
 * What a filter may ask of the control thread of its sidecar, which has what a data thread has not: helper connections to issuers and authorizers, secrets, a
 * disk. The answer comes in a later turn: the filter answers WAIT meanwhile. Asking costs both threads some microseconds, so what is answered is to be
 * remembered, within bounds.
 */
export interface Questions {
  /**
   * `topic` is the kind's name, perhaps with a dot and more. `answered` is called once, in a later turn; null: nobody could answer, which refuses. False:
   * `questionsMax` are under way already, and `answered` is not called. There is no deadline here: the filter has its own, by `timers.after`.
   */
  ask(topic: string, body: Uint8Array, answered: (answer: Uint8Array | null) => void): boolean;
}

/** Who answers on the control thread. Rejecting, or null: there is no answer. Called for data threads as they ask, many at a time. */
export type QuestionHandler = (topic: string, body: Uint8Array) => Promise<Uint8Array | null>;

/** Questions of one data thread that may be without an answer. */
export const questionsMax = 1024;
