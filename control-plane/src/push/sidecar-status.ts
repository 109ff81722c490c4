import type { HubContext } from './hub-context.ts';
import type { LaneStatus, SidecarStatus } from './push-hub.ts';
import type { SidecarSession } from './sidecar-session.ts';

/** What is known of a connected sidecar, from its own words. */
export function statusOfSession(session: SidecarSession, context: HubContext, lastSeenMs: number): SidecarStatus {
  const { facts, vitals, refusal } = session;
  const config = configStatus(session, context);
  const state = stateStatus(session, context);
  const inSync = config.inSync && state.inSync;
  return {
    nodeId: facts.nodeId,
    incarnation: facts.incarnation,
    subject: session.subject,
    connected: true,
    authenticated: context.authenticated,
    trustBundle: session.state.heldItem('trustBundle'),
    certificate: session.certificate,
    connectedSince: isoTime(session.connectedAtMs),
    lastSeen: isoTime(lastSeenMs),
    // What Hello said of the time without contact is over once it enforces what it should; its next heartbeat says so too.
    staleSince: session.staleSinceMs > 0 && !inSync ? isoTime(session.staleSinceMs) : null,
    address: session.stream.peer.address,
    locality: facts.locality,
    labels: facts.labels,
    build: facts.build,
    config,
    state,
    lastRefusal: refusal,
    clockOffsetMs: Math.round(vitals.clockOffsetMs),
    rssBytes: vitals.rssBytes,
    cpuShare: vitals.cpuShare,
    stallMs: vitals.stallMs,
    appReady: session.appReady,
    ...(session.appProblem !== '' && { appProblem: session.appProblem }),
    warming: vitals.warming,
    ...(vitals.keyAges.size > 0 && { keyAgeSeconds: Object.fromEntries([...vitals.keyAges].sort(([a], [b]) => (a < b ? -1 : 1))) }),
    phase: phaseOf(session, context, inSync),
    ...(session.stragglers.length > 0 && { stragglers: session.stragglers }),
  };
}

/** What is known of a sidecar that is not connected: its last words, beside what is desired now. */
export function statusOffline(last: SidecarStatus, context: HubContext): SidecarStatus {
  const desired = context.content.of(last.subject);
  if (!desired) return last;
  const config: LaneStatus = {
    ...last.config,
    desired: desired.version,
    desiredHash: desired.content.hash,
    inSync: desired.content.hash === last.config.appliedHash,
    lagMs: desired.content.hash === last.config.appliedHash ? 0 : Math.max(0, Math.round(context.clock.monotonicMs() - desired.sinceMonotonicMs)),
  };
  return { ...last, config };
}

/** The form that is kept when the stream ends. */
export function disconnectedStatus(status: SidecarStatus, atMs: number): SidecarStatus {
  return { ...status, connected: false, connectedSince: null, staleSince: isoTime(atMs), ...(status.phase === 'draining' && { left: true }), phase: 'offline' };
}

function configStatus(session: SidecarSession, context: HubContext): LaneStatus {
  const { config } = session;
  const desired = context.content.of(session.subject);
  const inSync = desired !== null && desired.content.hash === config.appliedHash;
  return {
    desired: desired?.version ?? config.appliedVersion,
    desiredHash: desired?.content.hash ?? '',
    applied: config.appliedVersion,
    appliedHash: config.appliedHash,
    inSync,
    persisted: config.persisted,
    lagMs: inSync ? 0 : lag(session, context),
  };
}

function stateStatus(session: SidecarSession, context: HubContext): LaneStatus {
  const { state } = session;
  const desiredHash = state.desired(context.clock.monotonicMs()).hash;
  const inSync = state.paused || desiredHash === state.appliedHash;
  return {
    desired: state.waitingVersion ?? state.appliedVersion,
    desiredHash: state.paused ? state.appliedHash : desiredHash,
    applied: state.appliedVersion,
    appliedHash: state.appliedHash,
    inSync,
    persisted: state.persisted,
    lagMs: inSync ? 0 : lag(session, context),
  };
}

function lag(session: SidecarSession, context: HubContext): number {
  return session.divergedAtMs === null ? 0 : Math.max(0, Math.round(context.clock.monotonicMs() - session.divergedAtMs));
}

function phaseOf(session: SidecarSession, context: HubContext, inSync: boolean): SidecarStatus['phase'] {
  if (session.leaving) return 'draining';
  const desired = context.content.of(session.subject);
  if (!desired && context.content.published) return 'orphaned';
  const { refusal } = session;
  if (refusal && (refusal.class === 'invalid' || refusal.class === 'guard') && !inSync) return 'refused';
  return inSync ? 'in-sync' : 'pending';
}

export function isoTime(ms: number): string {
  // Clocks of sidecars are input: a time outside of what can be written is shown as the nearest that can.
  return new Date(Math.min(Math.max(ms, 0), 8.64e15)).toISOString();
}
