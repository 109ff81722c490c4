import type { Command } from 'commander';
import { readLogins, storeLogin } from '../login/login-store.ts';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';

/** `remora logout`: forgets the login here; a token that others have stays what it is. */
export function addLogout(program: Command, run: Runner): void {
  const command = program
    .command('logout')
    .description('forget the login at a control plane; an API token stays good until `api-token revoke`')
    .action(
      run(async (session) => {
        const { origin } = new URL(session.api.server);
        const known = Object.hasOwn(readLogins(session.terminal).logins, origin);
        if (known) storeLogin(session.terminal, origin, null);
        session.answer({ server: origin, forgotten: known }, () => (known ? `logged out at ${origin}\n` : `there was no login at ${origin}\n`));
      }),
    );
  addApiOptions(command);
}
