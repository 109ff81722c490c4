import { ageText } from './age-text.ts';
import type { CanaryStatusAnswer } from './api-shapes.ts';
import type { Session } from './session.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

/** Where a canary stands, for people: its step, both sides, the gates with their figures, and what was decided. */
export function canaryText(status: CanaryStatusAnswer, { style, terminal }: Session): string {
  const now = terminal.now();
  const head = `${style.strong(status.canary)} of service/${status.service}: ${paintPhase(status, style)}\n`;
  const why = `  ${status.now.sentence}\n`;
  const blocked = status.blocked === '' ? '' : `  ${style.warn(`its last write was refused, and is tried again: ${status.blocked}`)}\n`;
  const routes = `  ${status.ownRoute ? 'its own Route' : status.routes.length === 1 ? 'Route' : 'Routes'} ${status.routes.map((name) => style.name(name)).join(', ')}; ${status.endedAt === null ? `in this step since ${ageText(status.since, now)}` : `ended ${ageText(status.endedAt, now)}`}${status.reportedAt === null ? '' : `; figures of ${ageText(status.reportedAt, now)}`}\n`;
  return `${head}${why}${blocked}${routes}\n${sidesText(status, style)}${gatesText(status, style)}${decisionsText(status, style, now)}`;
}

/** `running, step 2 of 4, 25 %`. */
export function phaseText({ phase, paused, step, steps, weight }: Pick<CanaryStatusAnswer, 'phase' | 'paused' | 'step' | 'steps' | 'weight'>): string {
  const at = step === null ? '' : `, step ${step} of ${steps}`;
  return `${phase}${paused ? ' (paused)' : ''}${at}${weight === null ? '' : `, ${percentText(weight / 100)}`}`;
}

/** `1.25 %`. */
export function percentText(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}

function paintPhase(status: CanaryStatusAnswer, style: Style): string {
  const text = phaseText(status);
  if (status.phase === 'completed') return style.good(text);
  return status.phase === 'failed' || status.phase === 'aborted' || status.phase === 'reverting' ? style.bad(text) : text;
}

function sidesText({ candidate, stable }: CanaryStatusAnswer, style: Style): string {
  const row = (name: string, { labels, requests, errors, errorShare, p99Ms }: CanaryStatusAnswer['stable']): string[] => [
    name, Object.entries(labels).map(([key, value]) => `${key}=${value}`).sort().join(', '), countText(requests), countText(errors), errorShare === null ? '-' : percentText(errorShare), p99Ms === null ? '-' : p99Ms.toFixed(1),
  ];
  return renderTable([{ title: 'SIDE' }, { title: 'LABELS' }, { title: 'REQUESTS', align: 'right' }, { title: 'ERRORS', align: 'right' }, { title: 'SHARE', align: 'right' }, { title: 'P99 MS', align: 'right' }], [row('stable', stable), row('candidate', candidate)], style.faint);
}

function countText(count: number | null): string {
  return count === null ? '-' : count.toLocaleString('en');
}

function gatesText({ gates }: CanaryStatusAnswer, style: Style): string {
  if (gates.length === 0) return '';
  const rows = gates.map(({ gate, outcome, sentence }) => [gate, outcome === 'held' ? style.good(outcome) : outcome === 'failed' ? style.bad(outcome) : style.warn(outcome), sentence]);
  return `\n${renderTable([{ title: 'GATE' }, { title: 'IS' }, { title: 'FIGURES' }], rows, style.faint)}`;
}

function decisionsText({ decisions }: CanaryStatusAnswer, style: Style, now: number): string {
  if (decisions.length === 0) return '';
  const rows = decisions.map(({ at, step, weight, action, because, sentence, by }) => [ageText(at, now), String(step), percentText(weight / 100), action, because, by === '' || sentence.includes(by) ? sentence : `${sentence} (${by})`]);
  return `\n${renderTable([{ title: 'WHEN' }, { title: 'STEP', align: 'right' }, { title: 'WEIGHT', align: 'right' }, { title: 'DECIDED' }, { title: 'BECAUSE' }, { title: 'FIGURES' }], rows, style.faint)}`;
}
