import type { Command } from 'commander';
import type { Terminal } from '../terminal.ts';
import { addProcessCommand } from '../process-command.ts';
import type { Runner } from '../session.ts';

/** `remora sidecar …`: the settings are the sidecar's own; its `--help` lists them. */
export function addSidecar(program: Command, run: Runner, terminal: Terminal): void {
  addProcessCommand(program, run, terminal, {
    name: 'sidecar',
    summary: 'run a sidecar beside a service, or a gateway (`remora sidecar --help` lists its settings)',
    load: async () => (await import('@remora/sidecar/bootstrap')).runSidecar,
  });
}
