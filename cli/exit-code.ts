/** How a command ends, for scripts. */
export const exitCode = {
  done: 0,
  /** The server refused (its catalogue id is on standard error), or a check came out wrong. */
  refused: 1,
  usage: 2,
  unreachable: 3,
  /** The user stopped it, as shells say it for SIGINT. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** The command line, or a file that it names, cannot be used as it is. */
export class UsageError extends Error {}

/** Nobody answers. The message says in one sentence what to do. */
export class UnreachableError extends Error {}

/** A cluster was not restarted, or not wholly. The message says why, and how to go on. */
export class RollStoppedError extends Error {}

/** Something was checked, and is not what it claims to be. The message says why in one sentence. */
export class NotVerifiedError extends Error {}

export function demandVerified(condition: boolean, message: string): asserts condition {
  if (!condition) throw new NotVerifiedError(message);
}
