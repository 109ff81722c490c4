import pc from 'picocolors';
import type { Terminal } from './terminal.ts';

/** Colours by what they mean. Plain functions, so that text without colours is byte for byte the same otherwise. */
export interface Style {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  /** Names of documents, sidecars, fields. */
  readonly name: (text: string) => string;
}

/** Which of the two outputs the style is for. */
export type Channel = 'out' | 'err';

/**
 * Colours on a terminal only. NO_COLOR (any value but empty) switches them off, FORCE_COLOR on (`0` off), `TERM=dumb` off.
 */
export function styleFor(terminal: Terminal, channel: Channel): Style {
  const colors = pc.createColors(wantsColor(terminal, channel));
  return {
    good: colors.green,
    bad: colors.red,
    warn: colors.yellow,
    strong: colors.bold,
    faint: colors.dim,
    name: colors.cyan,
  };
}

function wantsColor(terminal: Terminal, channel: Channel): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = terminal.env;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0';
  if (TERM === 'dumb') return false;
  return channel === 'out' ? terminal.outIsTerminal : terminal.errIsTerminal;
}
