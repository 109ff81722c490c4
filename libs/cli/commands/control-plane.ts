import type { Command } from 'commander';
import type { Terminal } from '../terminal.ts';
import { addProcessCommand } from '../process-command.ts';
import type { Runner } from '../session.ts';

/** `remora control-plane …`: the settings are the control plane's own; its `--help` lists them. */
export function addControlPlane(program: Command, run: Runner, terminal: Terminal): void {
  addProcessCommand(program, run, terminal, {
    name: 'control-plane',
    summary: 'run the control plane (`remora control-plane --help` lists its settings)',
    load: async () => (await import('@remora/control-plane/bootstrap')).runControlPlane,
  });
}
