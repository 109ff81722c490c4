/** What a control plane is told at its start. Made by `readSettings`; nothing else reads arguments or the environment. */
export interface ControlPlaneSettings {
  readonly store: 'sqlite' | 'memory';
  /** Folder of the database. */
  readonly dataDir: string;
  readonly apiHost: string;
  /** 0 picks a free one. */
  readonly apiPort: number;
  readonly operators: OperatorSettings;
  readonly pushHost: string;
  readonly pushPort: number;
  /** History is kept at least this long … */
  readonly retentionAgeMs: number;
  /** … and at least this many revisions. */
  readonly retentionRevisions: number;
  readonly auditRetentionMs: number;
  /** OTLP over HTTP; '' for none. */
  readonly otlpEndpoint: string;
  readonly logLevel: LogLevel;
  readonly secrets: SecretSettings;
  readonly discovery: DiscoverySettings;
  /** null: nobody on the push port is authenticated, and it listens on loopback only. */
  readonly identity: IdentitySettings | null;
}

/** Where the API's certificate comes from. */
export type ApiTls = { readonly kind: 'off' } | { readonly kind: 'ca' } | { readonly kind: 'files'; readonly certificate: string; readonly key: string };

/** A company's issuer. */
export interface OidcSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly rolesFile: string;
  /** Of `remora login`; '' for none. */
  readonly clientId: string;
  readonly scopes: readonly string[];
}

/** Who may use the API. */
export interface OperatorSettings {
  /** `off`: whoever reaches it, on loopback only. */
  readonly authentication: 'tokens' | 'off';
  readonly tls: ApiTls;
  /** null: API tokens only. */
  readonly oidc: OidcSettings | null;
  /** Where the first token goes; '' for standard output. */
  readonly firstTokenFile: string;
}

/** What Secrets and credentials are kept with, and where Secrets come from. */
export interface SecretSettings {
  /** Text of the encryption key, from the environment; '' where there is none. Never logged. */
  readonly encryptionKey: string;
  /** File with that text; '' for none. */
  readonly encryptionKeyFile: string;
  /** The key before, until everything is sealed anew. */
  readonly previousKey: string;
  readonly previousKeyFile: string;
  /** `plain`: without a key, for a demo. */
  readonly keyStorage: 'encrypted' | 'plain';
  /** Folder with files that Secrets may be read from; '' for none. */
  readonly folder: string;
  readonly refreshMs: number;
  /** null: none. */
  readonly vault: VaultSettings | null;
}

/** The sources of instances that are asked. Only what is set up here can be named by documents. */
export interface DiscoverySettings {
  /** `10.0.0.53`, `10.0.0.53:5353`, `[2001:db8::1]:53`; none: as the machine is set up. */
  readonly dnsServers: readonly { readonly host: string; readonly port: number }[];
  /** null: none. */
  readonly consul: DiscoveryApi | null;
  readonly kubernetes: DiscoveryApi | null;
  /** Folder with files of endpoints; '' for none. */
  readonly folder: string;
}

/** How to reach a source over HTTP. */
export interface DiscoveryApi {
  /** `https://consul.internal:8501`. */
  readonly address: string;
  /** From the environment; '' where it is in a file, or there is none. Never logged. */
  readonly token: string;
  /** Read at each use; '' for none. */
  readonly tokenFile: string;
  /** PEM, read at each connection; '' for the authorities of the system. */
  readonly authorityFile: string;
}

export interface VaultSettings {
  readonly address: string;
  /** From the environment; '' where it is in a file. Never logged. */
  readonly token: string;
  /** Read at each use. */
  readonly tokenFile: string;
  readonly namespace: string;
  /** PEM; '' for the authorities of the system. */
  readonly authorityFile: string;
}

/** With `--identity mtls`. */
export interface IdentitySettings {
  readonly enrolmentHost: string;
  /** 0 picks a free one. */
  readonly enrolmentPort: number;
  /** Text of the key that private keys are encrypted with in the store, from the environment; '' where there is none. Never logged. */
  readonly encryptionKey: string;
  /** File with that text; '' for none. */
  readonly encryptionKeyFile: string;
  /** The key before, until everything is sealed anew. */
  readonly previousKey: string;
  readonly previousKeyFile: string;
  /** `plain`: without a key, for a demo. */
  readonly keyStorage: 'encrypted' | 'plain';
  /** An authority of somebody else's making; both '' for one of our own. */
  readonly authorityCertificateFile: string;
  readonly authorityKeyFile: string;
  /** The one to roll to, where ours is from files; both '' for none. */
  readonly nextAuthorityCertificateFile: string;
  readonly nextAuthorityKeyFile: string;
  /** How long after its certificate ended a sidecar can renew it. */
  readonly recoveryMs: number;
}

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];
