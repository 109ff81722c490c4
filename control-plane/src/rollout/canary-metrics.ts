import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { CanaryBook } from './canary-book.ts';
import type { CanaryPhase } from './canary-run.ts';

const phases: readonly CanaryPhase[] = ['running', 'completing', 'reverting', 'completed', 'aborted', 'failed'];

/** How the Canaries of the mesh do; which is which is in `remora canary list`. */
export function createCanaryMetrics(registry: Registry, book: Pick<CanaryBook, 'all'>): void {
  const counts = new Gauge({
    name: 'remora_canaries', help: 'Canaries by phase; those that ended are counted as long as their document is there.', labelNames: ['phase'], registers: [registry],
    collect() {
      for (const phase of phases) this.set({ phase }, book.all().filter((run) => run.phase === phase).length);
    },
  });
  counts.reset();
  const blocked = new Gauge({
    name: 'remora_canaries_blocked', help: 'Canaries whose last write of Routes was refused: they hold, or cannot go back, and try again.', registers: [registry],
    collect() {
      this.set(book.all().filter((run) => run.blocked !== '').length);
    },
  });
  blocked.reset();
}
