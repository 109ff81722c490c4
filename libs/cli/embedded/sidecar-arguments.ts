import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Role } from './role.ts';

export interface SidecarPlan {
  readonly role: Role;
  /** Push address of the control plane. */
  readonly push: string;
  readonly dataDir: string;
  /** Where clients come in: the listener of a gateway, the inbound port of a service. */
  readonly port?: number;
  /** Address to bind; default 127.0.0.1. */
  readonly host: string;
}

/** Arguments of `remora sidecar` for the one sidecar of an embedded Remora. */
export function sidecarArguments(plan: SidecarPlan): string[] {
  const common = ['sidecar', '--control-plane', plan.push, '--data-dir', plan.dataDir, '--listen-host', plan.host, '--admin-port', '0'];
  return [...common, ...(plan.role.kind === 'gateway' ? gatewayArguments(plan.role, plan) : serviceArguments(plan.role, plan))];
}

function gatewayArguments(role: Extract<Role, { kind: 'gateway' }>, plan: SidecarPlan): string[] {
  if (plan.port === undefined) return ['--gateway', role.name];
  const [only, ...others] = role.listeners;
  if (only === undefined || others.length > 0) {
    throw new CommandFailure(exitCodes.usage, `--port: gateway ${role.name} has ${role.listeners.length} listeners, each with its port in its document; leave --port out`);
  }
  return ['--gateway', role.name, '--listener', `${only.name}=${plan.host}:${plan.port}`];
}

/** Nothing calls out in this form, so there is no outbound side. */
function serviceArguments(role: Extract<Role, { kind: 'service' }>, plan: SidecarPlan): string[] {
  return ['--service', role.name, '--app', `${role.port}=${role.app}`, '--inbound', `${role.port}=${plan.host}:${plan.port ?? 8000}`, '--no-outbound'];
}
