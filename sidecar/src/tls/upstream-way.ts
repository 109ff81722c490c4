import type { Link } from '../io/link.ts';
import type { LinkContext } from '../io/link-context.ts';
import type { LinkOwner } from '../io/link-owner.ts';

/** How connections to instances are secured: with TLS to what is no sidecar, or with mTLS to what is one. */
export interface UpstreamWay {
  /** Changes with everything that decides about a connection: connections made under different keys are never mixed. */
  readonly key: string;
  /** ALPN names that a port may speak by its settings; empty: what its endpoints announce. */
  readonly alpn: readonly string[];
  /** The instance proves of which service it is: what goes wrong before it has is `upstream-identity`. */
  readonly proves: boolean;
  /** Opens a connection that must speak `protocol`, an ALPN name; '' offers all that are configured. `header` goes before TLS. */
  connect(address: SecureAddress, speak: { readonly protocol: string; readonly header: Buffer | null }, links: LinkContext, owner: LinkOwner): Link;
}

export interface SecureAddress {
  readonly host: string;
  readonly port: number;
}
