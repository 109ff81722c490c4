import type { ExitCode } from './exit-codes.ts';

/** Ends a command with a text for people and, with `-o json`, a document for programs. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;
  /** What programs get: the control plane's problem document where there is one. */
  readonly detail: object | null;

  constructor(exitCode: ExitCode, message: string, options: { readonly detail?: object; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
    this.detail = options.detail ?? null;
  }
}
