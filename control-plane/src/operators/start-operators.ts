import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { Clock, Timers } from '@remora/core/clock';
import type { AuditLog } from '../audit/audit-log.ts';
import type { ProcessLog } from '../process-log.ts';
import type { OperatorSettings } from '../settings/control-plane-settings.ts';
import { StartError } from '../start-error.ts';
import type { Store } from '../store/store.ts';
import { AuthenticationAudit } from './authentication-audit.ts';
import type { ForbiddenError } from './forbidden-error.ts';
import type { StartedOidc } from './oidc/start-oidc.ts';
import { createOperators } from './operators.ts';
import type { Operators } from './operators.ts';

/** Operators of a process that runs. */
export interface StartedOperators extends Operators {
  /** Makes the first token where no start has; to be shown this once, '' where there is nothing to show. Called when all else has started: a token that nobody saw would be lost. */
  makeFirstToken(): string;
  /** null: no issuer but ourselves. */
  readonly oidc: StartedOidc | null;
  /** Requests at the door, by how they ended. */
  readonly counts: ReadonlyMap<string, number>;
  onForbidden(refused: { readonly error: ForbiddenError; readonly operation: string; readonly address: string }): void;
  close(): void;
}

export interface StartOperatorsDeps {
  readonly store: Store;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: ProcessLog;
}

/** Throws StartError where what the settings name cannot be used. */
export async function startOperators(settings: OperatorSettings, deps: StartOperatorsDeps): Promise<StartedOperators> {
  const { store, clock, timers, log } = deps;
  const events = new AuthenticationAudit({ log: deps.audit, clock, timers });
  // What it needs is loaded only where there is an issuer.
  const oidc = settings.oidc && (await import('./oidc/start-oidc.ts')).startOidc(settings.oidc, deps);
  const operators = createOperators({ store, clock, events, users: oidc?.users ?? null, login: oidc?.login ?? null });
  if (operators.first.waiting) log.warn('the first token was made at an earlier start and nobody has used it yet; where it is lost: `remora control-plane first-token`');
  const close = (): void => {
    oidc?.close();
    events.close();
  };
  return { ...operators, oidc, makeFirstToken: () => makeFirst(operators, settings, deps), counts: events.counts, onForbidden: (refused) => events.forbidden(refused), close };
}

function makeFirst({ first, tokens }: Operators, { firstTokenFile }: OperatorSettings, { audit, log }: StartOperatorsDeps): string {
  if (!first.neverMade || tokens.anyAdmin) return '';
  const file = firstTokenFile === '' ? null : openFirst(firstTokenFile);
  const text = first.make();
  audit.later({ action: 'firstToken.make', actor: { kind: 'system' }, outcome: 'done', what: { to: file === null ? 'standard output' : 'file' } });
  if (file === null) return text;
  writeFirst(file, text, firstTokenFile);
  log.info('wrote the first token', { file: firstTokenFile });
  return '';
}

/** A new file of its owner alone: what is there already may be somebody else's. */
function openFirst(path: string): number {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    throw new StartError('refused', `--first-token-file: ${(error as Error).message}`, { cause: error });
  }
}

function writeFirst(file: number, text: string, path: string): void {
  try {
    writeSync(file, `${text}\n`);
    fsyncSync(file);
  } catch (error) {
    throw new StartError('refused', `--first-token-file: ${path}: ${(error as Error).message}; another token: \`remora control-plane first-token\``, { cause: error });
  } finally {
    closeSync(file);
  }
}
