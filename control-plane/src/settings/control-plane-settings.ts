/** What a control plane is told at its start. Made by `readSettings`; nothing else reads arguments or the environment. */
export interface ControlPlaneSettings {
  readonly store: 'sqlite' | 'memory';
  /** Folder of the database. */
  readonly dataDir: string;
  readonly apiHost: string;
  /** 0 picks a free one. */
  readonly apiPort: number;
  readonly pushHost: string;
  readonly pushPort: number;
  /** History is kept at least this long … */
  readonly retentionAgeMs: number;
  /** … and at least this many revisions. */
  readonly retentionRevisions: number;
  /** OTLP over HTTP; '' for none. */
  readonly otlpEndpoint: string;
  readonly logLevel: LogLevel;
}

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];
