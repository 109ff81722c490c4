import type { Contestant, Stage } from './scenario.ts';

/** Those that are installed. */
export async function present(starting: readonly Promise<Contestant | null>[]): Promise<Contestant[]> {
  return (await Promise.all(starting)).filter((one) => one !== null);
}

/** Names a proxy that was started, and hands its process to the stage. */
export function own(stage: Stage, name: string): (started: Omit<Contestant, 'name'> | null) => Contestant | null {
  return (started) => {
    if (started === null) return null;
    stage.own(started.process);
    return { name, port: started.port, process: started.process };
  };
}
