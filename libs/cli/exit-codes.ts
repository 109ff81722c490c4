/** What the exit code of every `remora` command says. Scripts may rely on it; `remora help exit-codes` prints it. */
export const exitCodes = {
  ok: 0,
  refused: 1,
  usage: 2,
  unreachable: 3,
  notEnforced: 4,
  conflict: 5,
  notFound: 6,
  serverFailed: 7,
  differs: 8,
  canaryReverted: 9,
  internal: 70,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** One line per code, in the order of the table above. */
export const exitCodeMeanings: readonly { readonly code: ExitCode; readonly meaning: string }[] = [
  { code: exitCodes.ok, meaning: 'done, or nothing to do' },
  { code: exitCodes.refused, meaning: 'the input was refused: validation, bounds, a conflict between policies, a guard' },
  { code: exitCodes.usage, meaning: 'the command line, a file or a setting cannot be used' },
  { code: exitCodes.unreachable, meaning: 'the control plane could not be reached, or did not answer in time' },
  { code: exitCodes.notEnforced, meaning: 'committed, but a sidecar refused it or not all enforce it in time' },
  { code: exitCodes.conflict, meaning: 'something changed meanwhile: If-Match, plan, or documents edited since the revision to revert' },
  { code: exitCodes.notFound, meaning: 'no such document, revision, sidecar or request' },
  { code: exitCodes.serverFailed, meaning: 'the control plane failed, or gave an answer that this command does not understand' },
  { code: exitCodes.differs, meaning: '`diff --exit-code`: there are differences' },
  { code: exitCodes.canaryReverted, meaning: '`canary status --watch`: the canary was aborted or failed; its Routes are as before' },
  { code: exitCodes.internal, meaning: 'a defect of this command; please report it' },
  { code: exitCodes.interrupted, meaning: 'ended by Ctrl-C' },
];
