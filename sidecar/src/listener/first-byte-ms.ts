import type { Transport } from '../generation/places.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { meshHandshakeMs, meshSilenceMs, type MeshTerms } from './mesh-terms.ts';

/** How long a client may take to say what it is. `mesh`: how the port takes callers of the mesh; null: not at all. */
export function firstByteMs(transport: Transport, mesh: MeshTerms | null, { headerTimeoutMs, idleTimeoutMs }: ConnectionLimits): number {
  if (transport !== 'http' && mesh !== null) return mesh.mode === 'strict' ? meshHandshakeMs : meshSilenceMs;
  const firstMs = headerTimeoutMs > 0 ? headerTimeoutMs : defaultFirstByteMs;
  return idleTimeoutMs > 0 ? Math.min(idleTimeoutMs, firstMs) : firstMs;
}

/** Where `requestLimits` sets no limit on heads. */
const defaultFirstByteMs = 60_000;
