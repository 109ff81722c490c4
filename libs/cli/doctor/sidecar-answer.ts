/** What `remora doctor` reads of the status of a sidecar. Fields that an older one does not have are null or missing. */
export interface SidecarAnswer {
  readonly nodeId: string;
  readonly ready: boolean;
  readonly why: string;
  readonly appReady: boolean;
  readonly appProblem?: string;
  readonly controlPlane: { readonly connected: boolean; readonly address: string; readonly lastEnd: string; readonly rejected: { readonly code: string; readonly message: string } | null; readonly clockOffsetMs?: number | null };
  readonly staleSince: string | null;
  readonly config: { readonly version: string; readonly persisted: boolean } | null;
  readonly state: { readonly persisted: boolean };
  readonly identity?: IdentityAnswer | null;
  readonly apps?: Readonly<Record<string, Address>>;
  readonly listeners: readonly { readonly name: string; readonly host: string; readonly port: number }[];
  readonly diskAlarm: string | null;
  readonly diskEncrypted?: boolean;
  readonly lastRefusal: { readonly class: string; readonly errors: readonly { readonly resource: string; readonly message: string }[] } | null;
}

export interface IdentityAnswer {
  readonly spiffeId: string;
  readonly from: string | null;
  readonly ends: string | null;
  readonly renewal: string | null;
  readonly issuerRoot: string;
  readonly roots: readonly { readonly digest: string; readonly ends: string }[];
  readonly problem: string;
  readonly persisted: boolean;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Whether an answer of the admin port is a sidecar's. */
export function isSidecarAnswer(body: unknown): body is SidecarAnswer {
  const { nodeId, controlPlane, listeners } = (body ?? {}) as Partial<SidecarAnswer>;
  return typeof nodeId === 'string' && typeof controlPlane === 'object' && Array.isArray(listeners);
}
