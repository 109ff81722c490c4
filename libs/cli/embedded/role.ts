import type { Json, JsonObject } from '@remora/core/canonical-json';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';

/** What the one sidecar of an embedded Remora is: a gateway, or the sidecar before one app. */
export type Role =
  | { readonly kind: 'gateway'; readonly name: string; readonly listeners: readonly { readonly name: string; readonly port: number }[] }
  | { readonly kind: 'service'; readonly name: string; readonly port: string; readonly app: string };

export interface RoleOptions {
  readonly gateway?: string;
  readonly service?: string;
  readonly app?: string;
}

/** The Gateway or Service named; otherwise the only Gateway, and without any the only Service. */
export function chooseRole(documents: readonly JsonObject[], options: RoleOptions): Role {
  if (options.gateway !== undefined && options.service !== undefined) throw usage('--gateway and --service exclude each other');
  const gateways = documents.filter((one) => one['kind'] === 'Gateway');
  const services = documents.filter((one) => one['kind'] === 'Service');
  if (options.gateway !== undefined) return gatewayRole(named(gateways, 'Gateway', options.gateway));
  if (options.service !== undefined || options.app !== undefined || gateways.length === 0) return serviceRole(onlyOne(services, 'Service', options.service, '--service'), options.app);
  return gatewayRole(onlyOne(gateways, 'Gateway', undefined, '--gateway'));
}

function onlyOne(found: readonly JsonObject[], kind: string, name: string | undefined, option: string): JsonObject {
  if (name !== undefined) return named(found, kind, name);
  const [first, ...others] = found;
  if (first === undefined) throw usage(`the documents have neither a Gateway nor a Service: nothing to run`);
  if (others.length > 0) throw usage(`the documents have several: say which with ${option} ${found.map((one) => nameOf(one)).join(' | ')}`);
  return first;
}

function named(found: readonly JsonObject[], kind: string, name: string): JsonObject {
  const match = found.find((one) => one['name'] === name);
  if (match === undefined) throw usage(`the documents have no ${kind} ${name}${found.length === 0 ? '' : `; there is ${found.map((one) => nameOf(one)).join(', ')}`}`);
  return match;
}

function gatewayRole(document: JsonObject): Role {
  const listeners = Object.entries(mapOf(document['listeners'])).map(([name, value]) => ({ name, port: Number(mapOf(value)['port']) }));
  return { kind: 'gateway', name: nameOf(document), listeners };
}

function serviceRole(document: JsonObject, app: string | undefined): Role {
  const ports = Object.entries(mapOf(document['ports']));
  const [port, settings] = ports.find(([name]) => name === 'http') ?? ports[0] ?? ['http', null];
  const address = app === undefined ? `127.0.0.1:${Number(mapOf(settings)['port'])}` : app.replace(/^localhost:/, '127.0.0.1:');
  return { kind: 'service', name: nameOf(document), port, app: address };
}

function nameOf(document: JsonObject): string {
  const { name } = document;
  return typeof name === 'string' ? name : '';
}

function mapOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function usage(message: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, message);
}
