/**
 * Ends waits when a caller leaves. A race against one long-lived promise would keep a reaction for every message of a
 * stream; here the only thing kept is the wait that is under way.
 */
export class Departure {
  #leave: (() => void) | undefined;
  #gone = false;

  /** `listen` calls what it is given when the caller has left. */
  constructor(listen: (leave: () => void) => void) {
    listen(() => {
      this.#gone = true;
      this.#leave?.();
    });
  }

  /** What the work gives, or undefined once the caller has left. */
  orGone<T>(work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#leave = () => resolve(undefined);
      work.then(resolve, reject);
      if (this.#gone) resolve(undefined);
    });
  }
}
