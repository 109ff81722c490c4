import { Agent } from 'node:http';
import { ask, type Answer } from '../../processes/traffic.ts';

export interface OpenLoad {
  /** In the order in which they were asked for; those that are not answered yet are missing. */
  answers(): readonly Answer[];
  /** Asks no more, and resolves when all has been answered. */
  stop(): Promise<readonly Answer[]>;
}

/** Requests at their times, whether the ones before have been answered or not; beyond 128 under way they wait here, which counts. */
export function startOpenLoad(port: number, path: string, perSecond: number): OpenLoad {
  const agent = new Agent({ keepAlive: true, maxSockets: 128 });
  const began = performance.now();
  const answered: (Answer | null)[] = [];
  const asked: Promise<void>[] = [];
  const timer = setInterval(() => {
    const due = ((performance.now() - began) * perSecond) / 1_000;
    while (asked.length < due) {
      const nth = asked.length;
      answered.push(null);
      asked.push(ask({ port, path, agent }).then((answer) => { answered[nth] = answer; }));
    }
  }, 1);
  const answers = (): readonly Answer[] => answered.filter((answer) => answer !== null);
  return {
    answers,
    async stop() {
      clearInterval(timer);
      await Promise.all(asked);
      agent.destroy();
      return answers();
    },
  };
}
