-- state: 1 created, 2 open, 3 closed, as ElectionState in proto/urna/v1/election.proto.
CREATE TABLE urna.elections (
  number          int      PRIMARY KEY,
  election_id     text     NOT NULL UNIQUE,
  definition      bytea    NOT NULL,
  definition_hash bytea    NOT NULL,
  wrapped_key     bytea    NOT NULL,
  state           smallint NOT NULL DEFAULT 1,
  create_batch    bigint   NOT NULL,
  open_batch      bigint   NOT NULL DEFAULT 0,
  close_batch     bigint   NOT NULL DEFAULT 0
);

-- The elections whose home this shard is: the definition that won, and the state that was asked for.
CREATE TABLE urna.home_elections (
  election_id     text        PRIMARY KEY,
  definition      bytea       NOT NULL,
  definition_hash bytea       NOT NULL,
  wrapped_key     bytea       NOT NULL,
  wanted_state    smallint    NOT NULL,
  created_at      timestamptz NOT NULL,
  requested_by    text        NOT NULL
);

-- One partition an election, so that the index of the open election alone must stay in memory. The columns are ordered
-- so that no padding is stored.
CREATE TABLE urna.votes (
  nullifier       uuid   NOT NULL,
  key_hash        uuid   NOT NULL,
  leaf_index      bigint NOT NULL,
  batch_number    bigint NOT NULL,
  election_number int    NOT NULL,
  region          int    NOT NULL,
  ballot          bytea  NOT NULL
) PARTITION BY LIST (election_number);

-- Running totals, so that a reader that starts from nothing need not replay the whole batch log.
CREATE TABLE urna.count_snapshots (
  through_batch   bigint NOT NULL,
  election_number int    NOT NULL,
  region          int    NOT NULL,
  cell            int    NOT NULL,
  n               bigint NOT NULL,
  PRIMARY KEY (through_batch, election_number, region, cell)
);

CREATE VIEW urna.count_deltas AS
  SELECT b.number AS batch_number, b.stamp, d.election_number, d.region, d.cell, d.n
  FROM urna.batches b,
       unnest(b.count_election, b.count_region, b.count_cell, b.count_n) AS d (election_number, region, cell, n);
