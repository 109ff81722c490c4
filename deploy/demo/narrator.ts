import { styleText } from 'node:util';

/** Tells the story on standard output: what a step is about, each command, its answer, and how long it took. */
export interface Narrator {
  step(number: number, title: string): void;
  say(text: string): void;
  /** A command as a user would type it, what it printed, and its time. */
  command(line: string, output: string, tookMs: number, exitCode: number): void;
  /** A request as a user would type it, and the first lines of the answer. */
  request(line: string, answer: string, tookMs: number): void;
  /** Something that was checked and holds. */
  holds(text: string): void;
  passed(number: number, tookMs: number): void;
  failed(text: string): void;
}

const outputLines = 24;

export function createNarrator(write: (text: string) => void, color: boolean): Narrator {
  const paint = (format: Parameters<typeof styleText>[0], text: string): string => (color ? styleText(format, text, { validateStream: false }) : text);
  const block = (text: string): string => cut(text.trimEnd()).map((line) => `    ${line}\n`).join('');
  return {
    step: (number, title) => write(`\n${paint('bold', `${number}. ${title}`)}\n`),
    say: (text) => write(`  ${text}\n`),
    command(line, output, tookMs, exitCode) {
      write(`  ${paint('cyan', `$ ${line}`)}\n${block(output)}    ${paint('dim', `(${tookMs.toFixed(0)} ms${exitCode === 0 ? '' : `, exit code ${exitCode}`})`)}\n`);
    },
    request: (line, answer, tookMs) => write(`  ${paint('cyan', `$ ${line}`)}\n${block(answer)}    ${paint('dim', `(${tookMs.toFixed(1)} ms)`)}\n`),
    holds: (text) => write(`  ${paint('green', '✓')} ${text}\n`),
    passed: (number, tookMs) => write(`  ${paint('dim', `step ${number} took ${(tookMs / 1000).toFixed(1)} s`)}\n`),
    failed: (text) => write(`${paint('red', text)}\n`),
  };
}

function cut(text: string): string[] {
  if (text === '') return [];
  const lines = text.split('\n');
  return lines.length <= outputLines ? lines : [...lines.slice(0, outputLines), `… ${lines.length - outputLines} more lines`];
}
