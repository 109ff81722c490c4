import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { FleetHealthAnswer, ServiceHealthAnswer } from '../api-shapes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';

type Trouble = ServiceHealthAnswer['troubles'][number];

/** `remora health [SERVICE]`: who cannot reach whom, and why. */
export function addHealth(program: Command, run: Runner): void {
  const command = program
    .command('health')
    .description('who cannot reach a service or some of its hosts, and why; without a name, every service that somebody holds something against')
    .argument('[service]', 'name of the service')
    .action(
      run(async (session, _options, [service]) => {
        if (service === undefined) {
          const answer = (await session.api.call({ method: 'GET', path: '/v1/health' })).body as FleetHealthAnswer;
          session.answer(answer, () => fleetText(answer, session));
          return;
        }
        const answer = (await session.api.call({ method: 'GET', path: `/v1/services/${encodeURIComponent(service)}/health` })).body as ServiceHealthAnswer;
        session.answer(answer, () => serviceText(answer, session));
      }),
    );
  addApiOptions(command);
}

function fleetText({ items }: FleetHealthAnswer, session: Session): string {
  if (items.length === 0) return 'no caller holds anything against any service\n';
  return items.map(({ service, callers, troubled, troubles }) => `${headline(service, troubled, callers, session)}${troubleTable(troubles, session)}`).join('\n');
}

function serviceText({ service, callers, troubles, orders }: ServiceHealthAnswer, session: Session): string {
  const { style } = session;
  const troubled = callers.reduce((sum, caller) => sum + caller.troubled, 0);
  const rows = callers.map((caller) => [caller.caller === '' ? '(out of sight)' : style.name(caller.caller), String(caller.instances), String(caller.troubled)]);
  const table = rows.length === 0 ? '' : `\n${renderTable([{ title: 'CALLER' }, { title: 'SIDECARS', align: 'right' }, { title: 'IN TROUBLE', align: 'right' }], rows, style.faint)}`;
  const decided = orders.map(({ host, what, author, reason, until }) => `${style.name(host)} was taken ${what} by ${author === '' ? 'somebody' : author}${reason && ` (${reason})`}${what === 'out' ? `, until ${until}` : ''}\n`).join('');
  return headline(service, troubled, callers.reduce((sum, { instances }) => sum + instances, 0), session) + troubleTable(troubles, session) + (decided && `\n${decided}`) + table;
}

function headline(service: string, troubled: number, callers: number, { style }: Session): string {
  if (troubled === 0) return `${style.strong(service)}: nothing is held against it by ${callers === 1 ? 'its caller' : `its ${callers} callers`}\n`;
  return `${style.strong(service)}: ${troubled} of ${Math.max(troubled, callers)} callers hold something against it\n`;
}

function troubleTable(troubles: readonly Trouble[], { style, terminal }: Session): string {
  if (troubles.length === 0) return '';
  const rows = troubles.map(({ host, kind, event, pointer, policies, detail, held, of, since, until }) => [
    host === '' ? '(all hosts)' : style.name(host), event, `${held} of ${of}`, detail, `${kind}${pointer}`, policies.map((name) => (name === '' ? '(default)' : name)).join(', '),
    ageText(since, terminal.now()), ageText(until, terminal.now()),
  ]);
  return renderTable(
    [{ title: 'HOST' }, { title: 'IS' }, { title: 'FOR' }, { title: 'WHY' }, { title: 'FIELD' }, { title: 'POLICY' }, { title: 'SINCE' }, { title: 'ENDS' }],
    rows, style.faint,
  );
}
