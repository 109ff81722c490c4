import type { Exchange } from '@remora/policy-kit/exchange';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { decodeLoginAnswer, encodeLoginQuestion, type LoginAnswer, type LoginQuestion } from '@remora/policy-kit/tokens/login-question';
import type { OidcLoginSettings } from './wire.ts';

type Then = (x: Exchange, token: number, answer: LoginAnswer) => void;

interface Waiter {
  readonly x: Exchange;
  readonly token: number;
  readonly resume: Then;
}

/** What one data thread asks the control thread about one issuer, and the requests that wait for it: at most `waitingMax`. */
export class IssuerQuestions {
  readonly #settings: OidcLoginSettings;
  readonly #context: FilterContext;
  readonly #asked = new Map<string, Waiter[]>();
  #waiting = 0;

  constructor(settings: OidcLoginSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
  }

  /** Requests that ask under the same key wait for one answer; '': nobody else does. False: too many wait. */
  ask(x: Exchange, key: string, part: Pick<LoginQuestion, 'want'> & Partial<LoginQuestion>, resume: Then): boolean {
    if (this.#waiting >= waitingMax) return this.#overloaded();
    const waiter = { x, token: x.token, resume };
    const running = key === '' ? undefined : this.#asked.get(key);
    if (running !== undefined) running.push(waiter);
    else if (!this.#send(key, part, [waiter])) return this.#overloaded();
    this.#waiting++;
    // Discovery, the question itself and newer keys, each within its own deadline; this one is for a control thread that is silent.
    this.#context.timers.after(2 * this.#settings.deadlineMs + controlThreadMs, (late, token) => {
      if (late.token === token) resume(late, token, { outcome: 'unavailable', problem: 'no answer within the deadline' });
    }, x, x.token);
    return true;
  }

  #send(key: string, part: Pick<LoginQuestion, 'want'> & Partial<LoginQuestion>, waiters: Waiter[]): boolean {
    const { issuer, allowPrivateAddresses, clientId, clientSecret, deadlineMs } = this.#settings;
    const body = encodeLoginQuestion({ issuer, allowPrivateAddresses, clientId, clientSecret, deadlineMs, grant: '', redirectUri: '', verifier: '', state: '', ...part });
    const sent = this.#context.questions.ask('oidcLogin', body, (answer) => {
      if (key !== '') this.#asked.delete(key);
      this.#answered(waiters, decodeLoginAnswer(answer));
    });
    if (sent && key !== '') this.#asked.set(key, waiters);
    return sent;
  }

  #answered(waiters: readonly Waiter[], answer: LoginAnswer): void {
    this.#waiting -= waiters.length;
    if (answer.outcome === 'unavailable') this.#context.count('oidcLogin_failed');
    for (const { x, token, resume } of waiters) if (x.token === token) resume(x, token, answer);
  }

  #overloaded(): false {
    this.#context.count('oidcLogin_overload');
    return false;
  }
}

const waitingMax = 1024;
const controlThreadMs = 6_000;
