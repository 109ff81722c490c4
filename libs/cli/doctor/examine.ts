import { spanText } from '../age-text.ts';
import { fail, ok, skip, warn, type Finding } from './finding.ts';
import type { SidecarAnswer } from './sidecar-answer.ts';

const minuteMs = 60_000;
/** Certificates are good five minutes before they were made: beyond that a clock refuses good ones. */
const clockFailMs = 5 * minuteMs;
const clockWarnMs = 30_000;

/** What the sidecar's own status says, judged: nothing is asked of anybody else here. `nowMs` is this host's clock. */
export function examine(sidecar: SidecarAnswer, nowMs: number): readonly Finding[] {
  return [clock(sidecar), token(sidecar), certificate(sidecar, nowMs), trust(sidecar, nowMs), push(sidecar), snapshot(sidecar), app(sidecar), disk(sidecar)];
}

function clock({ controlPlane: { clockOffsetMs = null } }: SidecarAnswer): Finding {
  if (clockOffsetMs === null) return skip('clock', 'no heartbeat of a control plane was heard yet, so there is nothing to compare with');
  const off = Math.abs(clockOffsetMs);
  const found = off < 1_000 ? 'as the control plane\'s, within a second' : `${spanText(off)} ${clockOffsetMs > 0 ? 'behind' : 'before'} the control plane's`;
  const help = 'set the clock by NTP (chrony, systemd-timesyncd); certificates of a clock that is five minutes off are refused';
  return off >= clockFailMs ? fail('clock', found, help) : off >= clockWarnMs ? warn('clock', found, help) : ok('clock', found);
}

function token({ identity }: SidecarAnswer): Finding {
  if (!identity) return skip('token', 'identity is off (--identity mtls, or a join token, turns it on)');
  if (identity.ends !== null) return ok('token', 'not needed: there is a certificate');
  const help = 'make one with `remora token create`, and start the sidecar with it in REMORA_JOIN_TOKEN or --join-token-file';
  return /token/.test(identity.problem) ? fail('token', identity.problem, help) : warn('token', identity.problem === '' ? 'there is no certificate yet' : identity.problem, 'look at `certificate` below, and at the log of the sidecar');
}

function certificate({ identity, nodeId }: SidecarAnswer, nowMs: number): Finding {
  if (!identity) return skip('certificate', 'identity is off');
  if (identity.ends === null) return fail('certificate', identity.problem === '' ? 'there is none' : identity.problem, 'the reason is in docs/identity.md, section Refusals');
  const endsMs = Date.parse(identity.ends);
  const fromMs = identity.from === null ? 0 : Date.parse(identity.from);
  if (nowMs >= endsMs) return fail('certificate', `of ${nodeId} ended ${spanText(nowMs - endsMs)} ago${because(identity.problem)}`, 'it is renewed as soon as the enrolment port answers, for 30 days; after that with a new join token');
  if (nowMs < fromMs) return fail('certificate', `of ${nodeId} is not good before ${identity.from}`, 'the clock of this host is behind');
  const left = `${identity.spiffeId}, good for ${spanText(endsMs - nowMs)} more`;
  if (identity.problem !== '') return warn('certificate', `${left}; it cannot be renewed: ${identity.problem}`, 'see docs/identity.md, section Refusals');
  if (identity.renewal !== null && Date.parse(identity.renewal) + 60 * minuteMs < nowMs) return warn('certificate', `${left}; its renewal is overdue since ${identity.renewal}`, 'see the log of the sidecar');
  return identity.persisted ? ok('certificate', left) : warn('certificate', `${left}; it is not on the disk`, 'a restart would need a join token: see `disk`');
}

function because(problem: string): string {
  return problem === '' ? '' : `: ${problem}`;
}

function trust({ identity }: SidecarAnswer, nowMs: number): Finding {
  if (!identity) return skip('trust bundle', 'identity is off');
  const { roots, issuerRoot } = identity;
  if (roots.length === 0) return fail('trust bundle', 'no root is known', 'it comes with the certificate');
  const good = roots.filter(({ ends }) => Date.parse(ends) > nowMs);
  const next = Math.min(...good.map(({ ends }) => Date.parse(ends)));
  if (good.length === 0) return fail('trust bundle', 'every root has ended', 'make another authority, and join anew');
  if (!roots.some(({ digest }) => digest === issuerRoot)) return fail('trust bundle', 'the root of the own certificate does not count any more', 'the certificate is renewed at once; if this stays, others refuse this instance: see the log');
  const found = `${roots.length === 1 ? 'one root' : `${roots.length} roots (the authority rolls)`}, the first to end in ${spanText(next - nowMs)}`;
  return next - nowMs < 30 * 24 * 60 * minuteMs ? warn('trust bundle', found, '`remora ca rotate --start` brings the next one') : ok('trust bundle', found);
}

function push({ controlPlane, staleSince }: SidecarAnswer): Finding {
  const { connected, address, rejected, lastEnd } = controlPlane;
  if (connected) return ok('push stream', `in contact with ${address}`);
  if (rejected) return fail('push stream', `${address} refuses this sidecar: ${rejected.code}: ${rejected.message}`, 'docs/identity.md, section Refusals, says what helps');
  return fail('push stream', `no contact with ${address === '' ? 'a control plane' : address}${staleSince === null ? '' : ` since ${staleSince}`}${because(lastEnd)}`, 'is the control plane running, and port 8601 (and 8602) reachable from here? What is enforced stays in force');
}

function snapshot({ config, lastRefusal, ready, why }: SidecarAnswer): Finding {
  if (!config) return fail('snapshot', 'nothing is enforced yet', 'is there a Service or Gateway of this name? `remora sidecars` shows what this one is waiting for');
  const [first] = lastRefusal?.errors ?? [];
  if (lastRefusal) return warn('snapshot', `enforces ${config.version}; a newer one was refused: ${first ? `${first.resource}: ${first.message}` : lastRefusal.class}`, '`remora history` and `remora explain` say who wrote it');
  return ready ? ok('snapshot', `enforces ${config.version}`) : warn('snapshot', `enforces ${config.version}, and is not ready: ${why}`, '');
}

function app({ apps = {}, appReady, appProblem = '' }: SidecarAnswer): Finding {
  const where = Object.entries(apps).map(([name, { host, port }]) => `${name === '' ? '' : `${name} at `}${host}:${port}`).join(', ');
  if (where === '') return skip('app', 'there is no app behind this sidecar');
  return appReady ? ok('app', `accepts connections: ${where}`) : fail('app', `${appProblem === '' ? 'does not accept connections' : `is not ready: ${appProblem}`}: ${where}`, 'is it running, and does it listen where --app says?');
}

function disk({ diskAlarm, config, state, diskEncrypted = false, identity }: SidecarAnswer): Finding {
  if (diskAlarm !== null) return fail('disk', diskAlarm, 'room, rights and mount of data-dir; until then a restart brings back an older state');
  if (config?.persisted === false || !state.persisted) return warn('disk', 'what is enforced is not on the disk yet', 'usual for a second after a change');
  if (!diskEncrypted && identity) return ok('disk', 'holds what is enforced, readable by its owner only (--snapshot-key-file encrypts it)');
  return ok('disk', diskEncrypted ? 'holds what is enforced, encrypted' : 'holds what is enforced, readable by its owner only');
}
