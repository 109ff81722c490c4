import type { Command } from 'commander';
import type { SidecarAnswer } from '../api-shapes.ts';
import { ageText, bytesText, spanText } from '../age-text.ts';
import { readPages } from '../pages.ts';
import { refusalLines } from '../refusal-text.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import type { Style } from '../style.ts';
import { renderTable } from '../table.ts';

/** `remora sidecars`: all and how far each is; `remora sidecars edge-1`: one, with everything it says about itself. */
export function addSidecars(program: Command, run: Runner): void {
  const command = program
    .command('sidecars')
    .description('list sidecars and what each enforces; with an id, show one')
    .argument('[id]', 'node id of one sidecar')
    .option('--service <name>', 'only those of a service')
    .option('--gateway <name>', 'only those of a gateway')
    .option('--phase <phase>', 'only those in-sync, pending, refused, offline, orphaned or draining')
    .action(
      run<Filter>(async (session, options, [id]) => {
        if (id !== undefined) return showOne(session, id);
        const query = { subject: subjectOf(options), phase: options.phase };
        const found = await readPages<SidecarAnswer>(session.api, { path: '/v1/sidecars', query, cursor: 'after' });
        session.answer({ items: found }, () => listText(found, session));
      }),
    );
  addApiOptions(command);
}

function subjectOf({ service, gateway }: Filter): string | undefined {
  if (service !== undefined) return `service/${service}`;
  return gateway === undefined ? undefined : `gateway/${gateway}`;
}

interface Filter {
  readonly service?: string;
  readonly gateway?: string;
  readonly phase?: string;
}

function listText(found: readonly SidecarAnswer[], session: Session): string {
  if (found.length === 0) return 'no sidecars\n';
  const now = session.terminal.now();
  const rows = found.map((one) => [
    session.style.name(one.nodeId),
    one.subject,
    paintPhase(one, session.style),
    `${one.config.applied.index}/${one.config.desired.index}`,
    one.state.inSync ? 'in sync' : `behind ${spanText(one.state.lagMs)}`,
    one.appReady ? 'ready' : one.subject.startsWith('gateway/') ? '-' : 'not ready',
    one.rssBytes === 0 ? '-' : bytesText(one.rssBytes),
    one.connected ? ageText(one.connectedSince, now) : `gone ${ageText(one.lastSeen, now)}`,
    one.staleSince === null ? '' : `since ${one.staleSince}`,
  ]);
  const titles = ['SIDECAR', 'OF', 'PHASE', 'CONFIG', 'ENDPOINTS', 'APP', 'MEMORY', 'CONNECTED', 'STALE'];
  return renderTable(titles.map((title) => ({ title })), rows, session.style.faint) + found.filter((one) => one.lastRefusal !== null && one.phase === 'refused').map((one) => `\n${session.style.name(one.nodeId)} ${refusalLines(one.lastRefusal, session.style)}`).join('');
}

function paintPhase(one: SidecarAnswer, style: Style): string {
  if (one.phase === 'in-sync') return style.good(one.phase);
  return one.phase === 'refused' || one.phase === 'offline' || one.phase === 'orphaned' ? style.bad(one.phase) : style.warn(one.phase);
}

async function showOne(session: Session, id: string): Promise<void> {
  const one = (await session.api.call({ method: 'GET', path: `/v1/sidecars/${encodeURIComponent(id)}` })).body as SidecarAnswer;
  session.answer(one, () => oneText(one, session));
}

function oneText(one: SidecarAnswer, session: Session): string {
  const now = session.terminal.now();
  const facts: [string, string][] = [
    ['of', `${one.subject}${one.authenticated ? '' : ' (unauthenticated)'}`],
    ['phase', paintPhase(one, session.style)],
    ['connected', one.connected ? `${one.address}, ${ageText(one.connectedSince, now)}` : `no, last seen ${ageText(one.lastSeen, now)}`],
    ['config', configText(one.config)],
    ['endpoints', endpointsText(one.state)],
    ['labels', Object.entries(one.labels).map(([key, value]) => `${key}=${value}`).join(', ') || '-'],
    ['locality', one.locality || '-'],
    ['build', `${one.build.version}, format ${one.build.format}, ${Object.keys(one.build.kinds).length} kinds (${one.build.id.slice(0, 12)})`],
    ['clock', `${one.clockOffsetMs} ms off`],
    ['load', one.rssBytes === 0 ? 'not reported yet' : `${bytesText(one.rssBytes)}, ${(one.cpuShare * 100).toFixed(1)} % CPU, longest stall ${one.stallMs} ms`],
    ['app', one.appReady ? 'ready' : `not ready${one.appProblem === undefined ? '' : `: ${one.appProblem}`}`],
  ];
  if (one.staleSince !== null) facts.push(['stale since', `${one.staleSince} (${ageText(one.staleSince, now)})`]);
  if (one.warming.length > 0) facts.push(['warming', one.warming.join(', ')]);
  for (const [issuer, seconds] of Object.entries(one.keyAgeSeconds ?? {})) facts.push(['keys', `${issuer}, ${seconds} s old`]);
  if (one.stragglers !== undefined) facts.push(['still call it', one.stragglers.join(', ')]);
  const text = facts.map(([name, value]) => `  ${name.padEnd(12)}${value}\n`).join('');
  return `${session.style.strong(one.nodeId)}\n${text}${one.lastRefusal === null ? '' : `  ${refusalLines(one.lastRefusal, session.style)}`}`;
}

/** Versions of this lane count changes of endpoints, not revisions. */
function endpointsText(lane: SidecarAnswer['state']): string {
  return lane.inSync ? 'in sync' : `behind for ${spanText(lane.lagMs)}`;
}

function configText(lane: SidecarAnswer['config']): string {
  if (lane.inSync) return `revision ${lane.applied.index} (${lane.appliedHash.slice(0, 12)})${lane.persisted ? '' : ', not on disk'}`;
  return `revision ${lane.applied.index}, should be ${lane.desired.index}, for ${spanText(lane.lagMs)}`;
}
