import type { Clock } from '@remora/core/clock';
import { logLevels } from './settings/control-plane-settings.ts';
import type { LogLevel } from './settings/control-plane-settings.ts';

/** Log of the process itself: one JSON object per line. Never holds secrets. */
export interface ProcessLog {
  error(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  debug(message: string, facts?: LogFacts): void;
}

export type LogFacts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export function createProcessLog(options: { readonly level: LogLevel; readonly clock: Clock; readonly write: (line: string) => void }): ProcessLog {
  const threshold = logLevels.indexOf(options.level);
  const at = (level: LogLevel) => (message: string, facts: LogFacts = {}): void => {
    if (logLevels.indexOf(level) > threshold) return;
    options.write(`${JSON.stringify({ at: new Date(options.clock.wallMs()).toISOString(), level, message, ...facts })}\n`);
  };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
