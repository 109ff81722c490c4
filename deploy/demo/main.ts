import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { choosePorts } from './addresses.ts';
import { createFleet } from './fleet.ts';
import { createNarrator } from './narrator.ts';
import { tellStory } from './story.ts';
import { createSupervisor } from './supervisor.ts';

/** `npm run demo [-- --once] [--keep]`: the story of an edit, with real processes on loopback. */
const { values: options } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false, short: 'h' },
  },
});

const usage = `Usage: npm run demo [-- [--once] [--keep]]
  --once   run the story unattended, check every step, end with 0 or name the step that failed
  --keep   leave the folder with data and snapshots behind
Without --once it stays up after the story until Ctrl-C.
`;

if (options.help) process.stdout.write(usage);
else process.exitCode = await demo();

async function demo(): Promise<number> {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
  const supervisor = createSupervisor();
  process.on('exit', () => supervisor.killAll());
  const folder = await mkdtemp(path.join(tmpdir(), 'remora-demo-'));
  // What a step still does after Ctrl-C is nobody's concern.
  const tell = (text: string): void => void (interrupted.signal.aborted || process.stdout.write(text));
  const narrator = createNarrator(tell, process.stdout.isTTY && process.env['NO_COLOR'] === undefined);
  try {
    const fleet = createFleet({ supervisor, folder, ports: await choosePorts(!options.once) });
    return await tellStory({ fleet, supervisor, narrator, stayUp: !options.once, signal: interrupted.signal });
  } finally {
    await supervisor.stopAll();
    if (options.keep) process.stdout.write(`data and snapshots are in ${folder}\n`);
    else await rm(folder, { recursive: true, force: true });
  }
}
