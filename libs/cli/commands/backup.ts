import type { Command } from 'commander';
import { addProcessCommand } from '../process-command.ts';
import type { Runner } from '../session.ts';
import type { Terminal } from '../terminal.ts';

/** `remora backup --data-dir DIR --to FILE`: a consistent copy of a store, also while its control plane runs. */
export function addBackup(program: Command, run: Runner, terminal: Terminal): void {
  addProcessCommand(program, run, terminal, {
    name: 'backup',
    summary: 'copy the store of a control plane, also while it runs: --data-dir DIR --to FILE',
    leading: ['backup'],
    load: async () => (await import('@remora/control-plane/bootstrap')).runControlPlane,
  });
}
