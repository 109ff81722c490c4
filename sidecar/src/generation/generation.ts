import { NetworkSet } from '@remora/core/network-set';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { Destination, Place, ProviderPort, SnapshotLabel } from './places.ts';

/** Everything that one snapshot means to the data path of one thread. Immutable but for its label. */
export interface Generation {
  readonly hash: string;
  readonly snapshot: Snapshot;
  label: SnapshotLabel;
  readonly trusted: NetworkSet;
  /** By port name; empty for gateways. */
  readonly inbound: ReadonlyMap<string, ProviderPort>;
  /** By listener name; empty for services. */
  readonly listeners: ReadonlyMap<string, ProviderPort>;
  /** By what callers may write as host: `payments`, `payments:9000`. */
  readonly byAuthority: ReadonlyMap<string, Destination>;
  /** The same for TCP: `payments:5432`, and `payments` where it has no other port. */
  readonly tcpByAuthority: ReadonlyMap<string, Destination>;
  /** By service and port name, `payments\0http`; with '' for the usual one. */
  readonly destinations: ReadonlyMap<string, Destination>;
  /** The outbound side's place where no destination was found. */
  readonly unknownPlace: Place;
  /** The same where the request was a CONNECT. */
  readonly unknownConnects: Place;
  /** Somebody is told by PROXY protocol where clients connected to. */
  readonly tellsClients: boolean;
  /** Owner keys of live state in use. */
  readonly liveKeys: ReadonlySet<string>;
}
