import { stat } from 'node:fs/promises';
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { listDocumentFiles } from '../document-files.ts';
import type { Terminal } from '../terminal.ts';

/** Calls back when one of the inputs changes, until it is closed. */
export interface FolderWatch {
  /** Resolves when the state to compare with is known. */
  readonly started: Promise<void>;
  close(): void;
}

/** Editors write in several steps: what changes within this time is one change. */
const settleMs = 100;
/** Beside the system's notices, which network and container file systems may not give. */
const lookEveryMs = 2_000;

export function watchInputs(names: readonly string[], terminal: Terminal, onChange: () => void): FolderWatch {
  const watchers: FSWatcher[] = [];
  let settle: NodeJS.Timeout | null = null;
  let known = '';
  const look = async (): Promise<void> => {
    const now = await fingerprint(names, terminal);
    if (now === known) return;
    const first = known === '';
    known = now;
    if (!first) onChange();
  };
  const soon = (): void => {
    settle ??= setTimeout(() => {
      settle = null;
      void look();
    }, settleMs);
  };
  for (const name of names) watchers.push(...watchOne(name, terminal, soon));
  const regular = setInterval(() => void look(), lookEveryMs);
  return {
    started: look(),
    close() {
      if (settle !== null) clearTimeout(settle);
      clearInterval(regular);
      for (const watcher of watchers) watcher.close();
    },
  };
}

function watchOne(name: string, terminal: Terminal, onNotice: () => void): FSWatcher[] {
  try {
    const watcher = watch(new URL(name, `file://${terminal.cwd}/`), { recursive: true }, onNotice);
    watcher.on('error', () => watcher.close());
    return [watcher];
  } catch {
    return []; // the regular look is left
  }
}

/** Names, sizes and times of all files: differs when something changed. */
async function fingerprint(names: readonly string[], terminal: Terminal): Promise<string> {
  try {
    const paths = await listDocumentFiles(names, terminal);
    const facts = await Promise.all(paths.map(async (path) => {
      const { size, mtimeMs, ino } = await stat(path);
      return `${path} ${size} ${mtimeMs} ${ino}`;
    }));
    return facts.join('\n');
  } catch (error) {
    return `unreadable: ${(error as Error).message}`;
  }
}
