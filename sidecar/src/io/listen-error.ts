import type { ListenerSpec } from '../threads/data-plane.ts';

/** A listener whose port cannot be bound. */
export class ListenError extends Error {
  readonly spec: ListenerSpec;
  /** Of the system, e.g. `EADDRINUSE`. */
  readonly code: string;

  constructor(spec: ListenerSpec, cause: unknown) {
    const code = (cause as { code?: unknown }).code;
    const unix = spec.host.startsWith('unix:');
    const why = code === 'EADDRINUSE' ? (unix ? 'something is there already' : 'the port is in use') : cause instanceof Error ? cause.message : String(cause);
    super(`listener ${spec.name} cannot be bound to ${unix ? spec.host : `${spec.host}:${spec.port}`}: ${why}`, { cause });
    this.name = 'ListenError';
    this.spec = spec;
    this.code = typeof code === 'string' ? code : '';
  }
}
