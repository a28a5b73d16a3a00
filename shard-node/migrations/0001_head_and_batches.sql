-- The shard's one head row, the batch log, and slot ownership. Only the functions of this schema change head, so that
-- the service's role needs no UPDATE, DELETE or TRUNCATE anywhere.
CREATE TABLE urna.head (
  only_row     boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
  deployment   text        NOT NULL,
  shard_id     int         NOT NULL,
  shard_count  int         NOT NULL,
  writer_epoch bigint      NOT NULL DEFAULT 0,
  writer       text        NOT NULL DEFAULT '',
  batch_number bigint      NOT NULL DEFAULT 0,
  map_epoch    bigint      NOT NULL DEFAULT 1,
  tree_size    bigint      NOT NULL DEFAULT 0,
  stamp        timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE urna.slots (
  first_slot int PRIMARY KEY,
  last_slot  int NOT NULL CHECK (last_slot >= first_slot)
);

-- The count, control and (later) ledger log. Column by column, count_n[i] is what cell count_cell[i] of leaf region
-- count_region[i] in election count_election[i] grew by.
CREATE TABLE urna.batches (
  number         bigint      PRIMARY KEY,
  batch_id       uuid        NOT NULL,
  writer_epoch   bigint      NOT NULL,
  stamp          timestamptz NOT NULL,
  votes          int         NOT NULL,
  tree_size      bigint      NOT NULL,
  control        jsonb,
  count_election int[]       NOT NULL DEFAULT '{}',
  count_region   int[]       NOT NULL DEFAULT '{}',
  count_cell     int[]       NOT NULL DEFAULT '{}',
  count_n        int[]       NOT NULL DEFAULT '{}'
);

-- For reports by hour: one entry a batch, so it costs the write path nothing that can be measured.
CREATE INDEX batches_by_stamp ON urna.batches (stamp) WHERE votes > 0;
