import type { Command } from 'commander';
import { addProcessCommand } from '../process-command.ts';
import type { Runner } from '../session.ts';
import type { Terminal } from '../terminal.ts';

/** `remora restore --data-dir DIR --from FILE`: a backup becomes the store, in a new epoch. */
export function addRestore(program: Command, run: Runner, terminal: Terminal): void {
  addProcessCommand(program, run, terminal, {
    name: 'restore',
    summary: 'make a backup the store of a control plane that does not run: --data-dir DIR --from FILE',
    leading: ['restore'],
    load: async () => (await import('@remora/control-plane/bootstrap')).runControlPlane,
  });
}
