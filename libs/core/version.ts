/** A place in the control plane's log. Orders first by epoch (a restore starts a new one), then by index. */
export interface Version {
  readonly epoch: number;
  readonly index: number;
}

export const noVersion: Version = { epoch: 0, index: 0 };

export function compareVersions(a: Version, b: Version): number {
  return a.epoch - b.epoch || a.index - b.index;
}

/** `1763792000.41`, the form used in headers, logs and files. */
export function formatVersion(v: Version): string {
  return `${v.epoch}.${v.index}`;
}
