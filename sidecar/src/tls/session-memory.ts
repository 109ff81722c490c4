/** A session, and when the certificate that its peer showed ends. */
export interface KeptSession {
  readonly session: Buffer;
  /** Unix milliseconds. */
  readonly validToMs: number;
}

/** Sessions to resume, each used once (RFC 8446 appendix C.4), the newest first: at most 4 for a key, 256 keys. */
export class SessionMemory<S extends KeptSession = KeptSession> {
  /** Keys in the order of their last use. */
  readonly #sessions = new Map<string, S[]>();

  /** None where the certificate behind it has ended by now. */
  take(key: string, nowMs: number): S | undefined {
    const kept = this.#sessions.get(key)?.pop();
    return kept !== undefined && kept.validToMs > nowMs ? kept : undefined;
  }

  put(key: string, session: S): void {
    const kept = this.#sessions.get(key) ?? [];
    kept.push(session);
    if (kept.length > sessionsMax) kept.shift();
    this.#sessions.delete(key);
    this.#sessions.set(key, kept);
    if (this.#sessions.size > keysMax) this.#sessions.delete(this.#sessions.keys().next().value as string);
  }

  clear(): void {
    this.#sessions.clear();
  }
}

const sessionsMax = 4;
const keysMax = 256;
