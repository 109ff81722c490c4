import type { Clock } from '@remora/core/clock';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
export const logLevels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

/** Log of the process itself: one JSON object per line. Never holds secrets. The access log is a policy kind of its own. */
export interface Log {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  error(message: string, facts?: LogFacts): void;
}

export type LogFacts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export function createLog(options: { readonly level: LogLevel; readonly clock: Clock; readonly write: (line: string) => void }): Log {
  const threshold = logLevels.indexOf(options.level);
  const at = (level: Exclude<LogLevel, 'silent'>) => (message: string, facts: LogFacts = {}): void => {
    if (logLevels.indexOf(level) < threshold) return;
    options.write(`${JSON.stringify({ at: new Date(options.clock.wallMs()).toISOString(), level, message, ...facts })}\n`);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
