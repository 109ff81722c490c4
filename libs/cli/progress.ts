import type { Session } from './session.ts';

const frameMs = 100;
/** Nothing is shown for what ends sooner. */
const quietMs = 200;

/** Shows one line on standard error while `work` runs, on a terminal only, and takes it away in the end. */
export async function whileWaiting<Result>(session: Session, label: string, work: () => Promise<Result>): Promise<Result> {
  if (!session.terminal.errIsTerminal) return work();
  const startedAt = session.terminal.now();
  let shown = false;
  const timer = setInterval(() => {
    const elapsedMs = session.terminal.now() - startedAt;
    if (elapsedMs < quietMs) return;
    shown = true;
    session.terminal.err(`\r\u001b[2K${session.errStyle.faint(`${label} … ${(elapsedMs / 1000).toFixed(1)} s`)}`);
  }, frameMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (shown) session.terminal.err('\r\u001b[2K');
  }
}
