/** What a caller allows: nothing is tried again; further attempts, and a limit on each; what holds where nobody has said anything. */
export const modes = ['plain', 'retries', 'defaults'] as const;
export type Mode = (typeof modes)[number];

/** Ports of the ten instances of each mode: no two modes and no two proxies share one. */
export type HostPorts = Readonly<Record<Mode, readonly number[]>>;
