/** Keys of one place as they were fetched. */
export interface StoredKeys {
  /** Name of the source. */
  readonly name: string;
  readonly body: Uint8Array;
  /** Unix milliseconds. */
  readonly fetchedAtMs: number;
}

/** Where keys survive a restart of the sidecar. */
export interface IssuerKeyDisk {
  /** What is there, and what is wrong with it ('' for nothing). Never rejects. */
  load(): Promise<{ readonly keys: readonly StoredKeys[]; readonly problem: string }>;
  write(keys: readonly StoredKeys[]): Promise<void>;
}
