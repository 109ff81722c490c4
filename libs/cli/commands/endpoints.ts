import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { DiscoveryListAnswer, EndpointListAnswer } from '../api-shapes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';

/** `remora endpoints payments`: its instances, who says so and since when; without a name: how the sources of all services do. */
export function addEndpoints(program: Command, run: Runner): void {
  const command = program
    .command('endpoints')
    .description('the instances of a service, with source and age; without a name, how DNS, Consul, Kubernetes and files do as sources')
    .argument('[service]', 'name of a service')
    .action(
      run(async (session, _options, [service]) => {
        if (service === undefined) {
          const answer = (await session.api.call({ method: 'GET', path: '/v1/discovery' })).body as DiscoveryListAnswer;
          return session.answer(answer, () => sourcesText(answer.items, session));
        }
        const answer = (await session.api.call({ method: 'GET', path: `/v1/services/${encodeURIComponent(service)}/endpoints` })).body as EndpointListAnswer;
        session.answer(answer, () => endpointsText(answer, session));
      }),
    );
  addApiOptions(command);
}

function endpointsText({ items, sources }: EndpointListAnswer, session: Session): string {
  const { style, terminal } = session;
  const now = terminal.now();
  const rows = items.map((one) => [
    style.name(one.id), one.state === 'ready' ? style.good(one.state) : one.state === 'draining' ? style.warn(one.state) : style.bad(one.state), one.source,
    one.ports.map(({ name, host, port }) => `${name} ${host.includes(':') ? `[${host}]` : host}:${port}`).join(', '),
    one.locality, `${one.weight}${one.backup ? ' backup' : ''}`, ageText(one.since, now), ageText(one.confirmedAt, now),
  ]);
  const table = items.length === 0 ? 'no instances\n' : renderTable(['ENDPOINT', 'STATE', 'SOURCE', 'PORTS', 'LOCALITY', 'WEIGHT', 'SINCE', 'CONFIRMED'].map((title) => ({ title })), rows, style.faint);
  return sources.length === 0 ? table : `${table}\n${sourcesText(sources, session)}`;
}

function sourcesText(items: DiscoveryListAnswer['items'], { style, terminal }: Session): string {
  if (items.length === 0) return 'no service asks a source for its instances\n';
  const now = terminal.now();
  const rows = items.map((one) => [
    style.name(one.service), one.source, one.asked, one.state === 'current' ? style.good(one.state) : style.bad(one.state), String(one.instances), one.suspect === 0 ? '' : style.warn(String(one.suspect)), ageText(one.answeredAt, now),
  ]);
  const wrong = items.flatMap((one) => [...(one.error === '' ? [] : [one.error]), ...one.problems].map((text) => `${style.name(one.service)}: ${text}\n`));
  const table = renderTable(['SERVICE', 'SOURCE', 'ASKED FOR', 'STATE', 'INSTANCES', 'SUSPECT', 'ANSWERED'].map((title) => ({ title })), rows, style.faint);
  return wrong.length === 0 ? table : `${table}\n${wrong.join('')}`;
}
