import type { Log } from '../telemetry/log.ts';
import type { LinkStatus } from './control-link.ts';

/** Lines about what lasts: each trouble is said when it begins and when it is over, not at every try. */
export class TroubleLog {
  readonly #log: Log;
  /** Why contact was lost, as it was said last; '' in contact. */
  #contactLost = '';
  #diskAlarm: string | null = null;
  #unreachable = '';

  constructor(log: Log) {
    this.#log = log;
  }

  /** Losing contact is said once; every try that fails after it only at level debug. */
  link({ connected, address, lastEnd, rejected }: LinkStatus): void {
    const cause = rejected ? `${rejected.code}: ${rejected.message}` : lastEnd;
    if (connected) this.#log.info('in contact with the control plane', { address });
    else this.#log[this.#contactLost === cause ? 'debug' : 'warn']('no contact with the control plane', { address, cause });
    this.#contactLost = connected ? '' : cause;
  }

  /** Each write passes through `not persisted`; only what fails, and that it works again, is worth a line. */
  disk(alarm: string | null): void {
    if (alarm === this.#diskAlarm) return;
    this.#diskAlarm = alarm;
    if (alarm === null) this.#log.info('the disk holds what is enforced again');
    else this.#log.error('the disk cannot keep what is enforced', { cause: alarm });
  }

  /** Destinations that carry TCP and have no outbound port. Once for each set of names. */
  unreachable(names: readonly string[]): void {
    const told = names.join(' ');
    if (told === this.#unreachable) return;
    this.#unreachable = told;
    if (told !== '') this.#log.warn('the app has no way to these destinations, which carry TCP: give each a port', { flags: names.slice(0, 20).map((name) => `--outbound-for ${name}=PORT`) });
  }
}
