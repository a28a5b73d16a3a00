/**
 * Which service may call which, as operators have written it into the registry. It can only take away from what the
 * mesh's own permissions allow, never add.
 */

export interface Intentions {
  /** By the names of the registry: "urna-router", "urna-shard", "urna-tally". False only where an operator denied it. */
  allows(source: string, destination: string): boolean;
  /** Calls the listener with every change; returns how to stop it. What was allowed may have to be cut off now. */
  onChange(listener: () => void): () => void;
}

/** Of a mesh without a registry. */
export const noIntentions: Intentions = { allows: () => true, onChange: () => () => {} };
