/** One line of `remora doctor`. */
export interface Finding {
  /** What was looked at: `clock`, `token`, `certificate`, … */
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail' | 'skip';
  /** What was found, in one sentence. */
  readonly found: string;
  /** What helps; '' where nothing has to be done. */
  readonly help: string;
}

export function ok(check: string, found: string): Finding {
  return { check, state: 'ok', found, help: '' };
}

export function warn(check: string, found: string, help: string): Finding {
  return { check, state: 'warn', found, help };
}

export function fail(check: string, found: string, help: string): Finding {
  return { check, state: 'fail', found, help };
}

/** It does not apply here, and why. */
export function skip(check: string, found: string): Finding {
  return { check, state: 'skip', found, help: '' };
}
