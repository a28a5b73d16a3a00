/** Whether the router takes votes and changes. It is closed once, when the router stops. */
import { RejectionError } from "#proto/rejections.ts";

export class Gate {
  readonly #listeners = new Set<() => void>();
  #open = true;

  /** Throws SHARD_UNAVAILABLE once it is closed: another router will take what this one refuses. */
  readonly demandOpen = (): void => {
    if (!this.#open) throw routerStops();
  };

  /** Calls the listener when it closes; returns how to stop listening. */
  onClose(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#open = false;
    for (const listener of this.#listeners) listener();
  }
}

export function routerStops(): RejectionError {
  return new RejectionError("SHARD_UNAVAILABLE", "this router is stopping: send it to another one");
}
