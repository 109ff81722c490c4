import type { SidecarAnswer } from './api-shapes.ts';
import type { Session } from './session.ts';

const frameMs = 100;
/** Nothing is shown for what ends sooner. */
const quietMs = 200;
const framesPerLook = 5;

/**
 * Shows one line on standard error while a write waits for the sidecars, on a terminal only, and takes it away in the end:
 * `waiting for the sidecars … 4 of 6 in sync, 1.2 s`.
 */
export async function whileWaiting<Result>(session: Session, work: () => Promise<Result>): Promise<Result> {
  if (!session.terminal.errIsTerminal) return work();
  const { terminal, errStyle } = session;
  const startedAt = terminal.now();
  let frames = 0;
  let counts = '';
  const timer = setInterval(() => {
    const elapsedMs = terminal.now() - startedAt;
    if (elapsedMs < quietMs) return;
    if (frames % framesPerLook === 0) void readCounts(session).then((text) => { counts = text; });
    frames += 1;
    terminal.err(`\r\u001b[2K${errStyle.faint(`waiting for the sidecars … ${counts}${(elapsedMs / 1000).toFixed(1)} s`)}`);
  }, frameMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (frames > 0) terminal.err('\r\u001b[2K');
  }
}

/** Of all sidecars: the answer of the write says later which of them it concerned. Empty where nobody answers in time. */
async function readCounts(session: Session): Promise<string> {
  try {
    const { body } = await session.api.call({ method: 'GET', path: '/v1/sidecars', query: { limit: 1 }, timeoutMs: 1_000 });
    const { counts, total } = body as { readonly counts: Partial<Record<SidecarAnswer['phase'], number>>; readonly total: number };
    return `${counts['in-sync'] ?? 0} of ${total} in sync, `;
  } catch {
    return '';
  }
}
