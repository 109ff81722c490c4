/** Bounds and times of the push hub. All are stated in the protocol's comments or in the documentation of operations. */
export interface PushLimits {
  /** Streams at once; beyond, `too-many-sidecars`. */
  readonly sidecarsMax: number;
  /** Sidecars remembered while they are offline; the ones seen longest ago go first. */
  readonly rememberedMax: number;
  /** How long an offline sidecar is remembered. */
  readonly rememberedForMs: number;
  readonly helloTimeoutMs: number;
  readonly heartbeatEveryMs: number;
  readonly silenceMs: number;
  /** How often a stream's certificate is looked at again: one that ended meanwhile ends the stream. */
  readonly identityCheckEveryMs: number;
  readonly ackTimeoutMs: number;
  /** Queued bytes per stream above which the hub waits before it sends more. */
  readonly highWaterBytes: number;
  /** Encoded endpoint sets in one State message; the rest follows after its ACK. */
  readonly stateMessageBytes: number;
  /** Encoded chunks kept for the next stream that needs them. */
  readonly chunkCacheBytes: number;
  /** Streams served in one turn of the event loop. */
  readonly streamsPerTurn: number;
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
  readonly needHashesMax: number;
  readonly needRoundsMax: number;
  readonly refusalsRemembered: number;
  readonly acceptedRemembered: number;
  /** Log entries whose enforcement is kept, and sidecars that are known by name over all of them; beyond, they are counted. */
  readonly enforcementsMax: number;
  readonly enforcementMembersMax: number;
  /** Questions at once that wait until items are in force; beyond, they are answered at once. */
  readonly itemWaitsMax: number;
  readonly drainBarrierMs: number;
  readonly questionsPerSidecar: number;
  readonly answerBytesMax: number;
}

export const defaultPushLimits: PushLimits = {
  sidecarsMax: 20_000,
  rememberedMax: 50_000,
  rememberedForMs: 7 * 86_400_000,
  helloTimeoutMs: 10_000,
  heartbeatEveryMs: 5_000,
  silenceMs: 15_000,
  identityCheckEveryMs: 300_000,
  ackTimeoutMs: 60_000,
  highWaterBytes: 64 * 1024,
  stateMessageBytes: 2 * 1024 * 1024,
  chunkCacheBytes: 32 * 1024 * 1024,
  streamsPerTurn: 64,
  backoffFirstMs: 1_000,
  backoffMaxMs: 30_000,
  needHashesMax: 16_384,
  needRoundsMax: 3,
  refusalsRemembered: 4_096,
  acceptedRemembered: 16_384,
  enforcementsMax: 1_000,
  enforcementMembersMax: 20_000,
  itemWaitsMax: 256,
  drainBarrierMs: 10_000,
  questionsPerSidecar: 32,
  answerBytesMax: 256 * 1024,
};
