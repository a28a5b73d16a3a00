// The mistakes that the model can be made to make, each by one -D macro. A model in which they go unnoticed would
// prove nothing about the design, so each names the property that must be found violated.

export const PROPERTIES = ["I1", "I2", "I3", "I4", "I6", "I10"] as const;
export type Property = (typeof PROPERTIES)[number];

export interface Mistake {
  readonly macro: string;
  readonly sentence: string;
  readonly violates: Property;
}

export const MISTAKES: readonly Mistake[] = [
  { macro: "FOUND_BY_NUMBER", sentence: "unknown outcome resolved by batch number", violates: "I1" },
  { macro: "EPOCH_NOT_RAISED", sentence: "takeover without raising the epoch", violates: "I6" },
  { macro: "ACKNOWLEDGED_BEFORE_STANDBY", sentence: "acknowledging before the standby", violates: "I1" },
  { macro: "CLOSED_BEFORE_REPEAT", sentence: "closed-check before repeat-check", violates: "I3" },
  { macro: "NOTICE_IGNORED", sentence: "COMMIT notice ignored", violates: "I1" },
  { macro: "REPEAT_WITHOUT_FENCE", sentence: "repeat answered without a fence", violates: "I1" },
  { macro: "HEAD_OF_ANOTHER", sentence: "mark read from another writer's head", violates: "I1" },
  { macro: "ABSENCE_WITHOUT_FENCE", sentence: "deposed: not found taken for never", violates: "I4" },
  { macro: "BATCH_NOT_SETTLED", sentence: "one voter twice in a batch", violates: "I2" },
  { macro: "CLOSE_NOT_SEEN", sentence: "close not looked at when sealing", violates: "I10" },
];
