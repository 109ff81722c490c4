/** What the admin port shows of a connection. */
export interface ConnectionDescription {
  readonly state: 'connecting' | 'open' | 'draining';
  readonly streams: number;
  /** What the peer takes at once, as far as it has said. */
  readonly streamsMax: number;
  readonly requests: number;
  readonly ageMs: number;
  /** Body bytes held because consumers do not take them. */
  readonly heldBytes: number;
  /** Body bytes that the peer has no window for. */
  readonly queuedBytes: number;
  readonly resetsIn: number;
  readonly resetsOut: number;
  readonly pingsOut: number;
}
