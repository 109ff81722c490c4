import { describe, expect, test } from 'vitest';
import { whileWaiting } from './progress.ts';
import type { Session } from './session.ts';
import { styleFor } from './style.ts';
import { processTerminal } from './terminal.ts';

/** A session whose clock runs a second per look, so that nothing has to be waited for. */
function sessionOn(errIsTerminal: boolean): { readonly session: Session; readonly written: () => string } {
  let text = '';
  let now = 0;
  const terminal = {
    ...processTerminal(new AbortController().signal, { NO_COLOR: '1' }), errIsTerminal,
    err: (part: string) => { text += part; },
    now: () => (now += 1_000),
  };
  const style = styleFor(terminal, 'err');
  const call = (): Promise<unknown> => Promise.resolve({ status: 200, headers: {}, body: { counts: { 'in-sync': 4, pending: 2 }, total: 6 } });
  const session = { terminal, format: 'table', style, errStyle: style, api: { call }, answer: () => {}, remark: () => {} } as unknown as Session;
  return { session, written: () => text };
}

describe('the line shown while a write waits', () => {
  test('counts sidecars, and is taken away in the end', async () => {
    const { session, written } = sessionOn(true);
    const result = await whileWaiting(session, async () => {
      await expect.poll(written).toContain('waiting for the sidecars … 4 of 6 in sync,');
      return 7;
    });
    expect(result).toBe(7);
    expect(written().endsWith('\r\u001b[2K')).toBe(true);
  });

  test('is taken away when the work fails', async () => {
    const { session, written } = sessionOn(true);
    await expect(whileWaiting(session, async () => {
      await expect.poll(written).not.toBe('');
      throw new Error('broken');
    })).rejects.toThrow('broken');
    expect(written().endsWith('\r\u001b[2K')).toBe(true);
  });

  test('nothing is written where no terminal is', async () => {
    const { session, written } = sessionOn(false);
    expect(await whileWaiting(session, () => Promise.resolve(1))).toBe(1);
    expect(written()).toBe('');
  });
});
