import path from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { describe, expect, test } from 'vitest';
import { buildProgram } from './program.ts';
import { exitCodeMeanings, exitCodes } from './exit-codes.ts';
import { referencePage } from './reference-page.ts';
import { runScripted } from './cli-fixture.ts';
import { processTerminal } from './terminal.ts';

const program = buildProgram(processTerminal(new AbortController().signal, {}), () => async () => {});
const commandNames = program.commands.map((command) => command.name());

/** Their help is their own, with all settings of the process. */
const processCommands = new Set(['control-plane', 'sidecar', 'backup', 'restore']);

describe('the command tree', () => {
  test('has every command of this release', () => {
    expect(commandNames).toEqual([
      'control-plane', 'sidecar', 'run', 'validate', 'apply', 'get', 'delete', 'diff', 'explain', 'can', 'why', 'history', 'revert', 'restore-to',
      'sidecars', 'endpoints', 'inspect', 'health', 'eject', 'uneject', 'breaker', 'canary', 'top', 'tap', 'events', 'suggestions', 'doctor', 'login', 'logout', 'whoami', 'api-token', 'audit', 'token', 'ca', 'identity', 'mtls', 'consumer', 'usage', 'secret', 'backup', 'restore', 'completion',
    ]);
  });

  test('help of all commands', async () => {
    let text = (await runScripted(['--help'])).out;
    for (const name of commandNames.filter((one) => !processCommands.has(one))) text += `\n${'-'.repeat(80)}\n${(await runScripted([name, '--help'])).out}`;
    expectGolden(path.join(import.meta.dirname, 'testdata/help.txt'), text);
  });

  test('the page of the documentation', () => {
    expectGolden(path.resolve(import.meta.dirname, '../../docs/cli.md'), referencePage(program));
  });

  test.each([[['--help']], [['--version']], [['help', 'apply']], [['apply', '--help']]])('%s ends with 0', async (args) => {
    expect((await runScripted(args)).exitCode).toBe(0);
  });

  test('every exit code has its meaning, once', () => {
    expect(exitCodeMeanings.map(({ code }) => code)).toEqual(Object.values(exitCodes));
  });
});
