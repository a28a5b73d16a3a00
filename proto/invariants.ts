/** The invariants, by the numbers that code, tests and ARCHITECTURE.md cite. */
export const invariants = {
  I1: "An acknowledged vote is flushed on the primary and on a synchronous standby of the shard that accepted it.",
  I2: "For one election, one voter (or one ballot ID) is counted at most once, however often, through whichever router, and across whatever takeover, failover or resharding it is sent.",
  I3: "The same vote sent again (same voter, same idempotency key, same ballot) gets its original receipt, for ever, also after the close; anything else from that voter gets ALREADY_VOTED, and the first stands.",
  I4: "Every vote received gets exactly one outcome: recorded, repeat, or a named rejection. OUTCOME_UNKNOWN is honest, retryable, and made safe by I2 and I3.",
  I5: "A shard's counts equal the votes that it accepted, at every commit.",
  I6: "A vote is accepted only by the shard that owns its slot, and only by that shard's present writer; a deposed writer cannot commit.",
  I7: "A published tally names its cut: for each shard the batch it reaches. A recount of the rows at that cut gives the same numbers. A shard not yet read is absent, never zero. Between frames, no count goes down.",
  I8: "The ledger only grows. Any two checkpoints of a shard are consistent; every receipt is provable against every later checkpoint.",
  I9: "No queue grows without bound: refusal comes before collapse, and says when to come back.",
  I10: "A vote counts only if its batch precedes the election's close batch on its shard.",
} as const;

export type InvariantId = keyof typeof invariants;
