import { readFileSync, statSync } from 'node:fs';
import type { Clock, Timers } from '@remora/core/clock';
import type { ProcessLog } from '../../process-log.ts';
import type { OidcSettings } from '../../settings/control-plane-settings.ts';
import { StartError } from '../../start-error.ts';
import type { Store } from '../../store/store.ts';
import type { LoginFacts } from '../operators.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { OidcUsers } from './oidc-users.ts';
import { readRoleRules } from './role-rules.ts';
import type { RoleRules } from './role-rules.ts';

/** A company's issuer, as the settings name it. */
export interface StartedOidc {
  readonly users: OidcUsers;
  readonly keys: IssuerKeys;
  readonly login: LoginFacts | null;
  /** Why the newest rules cannot be used; '' where all is well. */
  problem(): string;
  close(): void;
}

const rulesEveryMs = 30_000;
const rulesBytesMax = 1024 * 1024;

/** Throws StartError where the rules cannot be used. That the issuer does not answer is no reason not to start. */
export function startOidc(settings: OidcSettings, deps: { readonly store: Pick<Store, 'records' | 'putRecords'>; readonly clock: Clock; readonly timers: Timers; readonly log: ProcessLog }): StartedOidc {
  const { issuer, audience, clientId, scopes, rolesFile } = settings;
  let text = readText(rolesFile);
  let rules = rulesOf(text, rolesFile);
  let problem = '';
  const keys = new IssuerKeys({ issuer, ...deps });
  const users = new OidcUsers({ issuer, audience, keys, rules: () => rules, clock: deps.clock });
  const timer = deps.timers.every(rulesEveryMs, () => {
    try {
      const next = readText(rolesFile);
      if (next !== text) {
        rules = rulesOf(next, rolesFile);
        text = next;
        users.forget();
        deps.log.info('read the roles of the issuer anew', { file: rolesFile, rules: rules.rules.length });
      }
      problem = '';
    } catch (error) {
      const found = (error as Error).message;
      if (found !== problem) deps.log.error('the roles of the issuer cannot be used; those before stay', { problem: found });
      problem = found;
    }
  });
  const token = audience === clientId ? 'id_token' : 'access_token';
  return {
    users, keys, login: clientId === '' ? null : { issuer, clientId, scopes, token },
    problem: () => problem,
    close() {
      timer.cancel();
      keys.close();
    },
  };
}

function rulesOf(text: string, path: string): RoleRules {
  const read = readRoleRules(text);
  if (!read.ok) throw new StartError('refused', `--oidc-roles-file ${path}: ${read.problems.join('; ')}`);
  return read.rules;
}

function readText(path: string): string {
  try {
    if (statSync(path).size > rulesBytesMax) throw new Error(`larger than ${rulesBytesMax} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError('refused', `--oidc-roles-file ${path}: ${(error as Error).message}`, { cause: error });
  }
}
