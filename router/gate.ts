/**
 * Whether the router takes votes and changes. A router that stops first leaves: streams end, and single calls that were on
 * their way are taken. Then it is closed.
 */
import { RejectionError } from "#proto/rejections.ts";

export class Gate {
  readonly #listeners = new Set<() => void>();
  #staying = true;
  #open = true;

  /** Throws SHARD_UNAVAILABLE once it is closed: another router will take what this one refuses. */
  readonly demandOpen = (): void => {
    if (!this.#open) throw routerStops();
  };

  /** The same from the moment on when the router leaves: for what would go on for ever. */
  readonly demandStaying = (): void => {
    if (!this.#staying) throw routerStops();
  };

  /** Calls the listener when the router leaves; returns how to stop listening. */
  onLeave(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  leave(): void {
    this.#staying = false;
    for (const listener of this.#listeners) listener();
  }

  close(): void {
    this.#open = false;
  }
}

export function routerStops(): RejectionError {
  return new RejectionError("SHARD_UNAVAILABLE", "this router is stopping: send it to another one");
}
