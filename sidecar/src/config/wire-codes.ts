import type { Lane as WireLane, NackClass as WireNackClass, Version as WireVersion } from '@remora/proto/gen/remora/push/v1/push';
import type { Version } from '@remora/core/version';

/**
 * The numbers of the push protocol. The generated file also holds the gRPC client and with it all of grpc-js, which is
 * loaded only after the data path serves; a test keeps these equal to the generated ones.
 */
export const lanes = { config: 1, state: 2 } as const satisfies Record<string, WireLane>;

export const nackClasses = { invalid: 1, guard: 2, resync: 3, transient: 4 } as const satisfies Record<string, WireNackClass>;
export type NackClass = keyof typeof nackClasses;

export function toWireVersion(version: Version): WireVersion {
  return { epoch: BigInt(version.epoch), index: BigInt(version.index) };
}

/** A missing version is {0, 0}. */
export function fromWireVersion(version: WireVersion | undefined): Version {
  return { epoch: Number(version?.epoch ?? 0n), index: Number(version?.index ?? 0n) };
}

export function toWireHash(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}
