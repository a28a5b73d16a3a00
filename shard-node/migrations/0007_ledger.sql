-- The ledger: one RFC 6962 tree over all votes of the shard in leaf order (ARCHITECTURE, "Life of a receipt").
DO $$
BEGIN
  IF EXISTS (SELECT FROM urna.votes) THEN
    RAISE EXCEPTION 'this shard holds votes from before the ledger, which have no leaves: start with a new folder';
  END IF;
END $$;

-- With it, whoever may read this table can open the commitment in a vote's leaf entry. It never leaves the database.
ALTER TABLE urna.votes ADD COLUMN nonce uuid NOT NULL;

-- root: of the tree after the batch; of no leaves, SHA-256 of nothing.
-- leaf_nullifiers: 16 bytes a vote in leaf order, so that an entry is found by its leaf index.
-- tail_hashes: those of the batch's leaf hashes that no tile holds yet, so that tree and proofs go on after a restart.
ALTER TABLE urna.batches
  ADD COLUMN root bytea NOT NULL DEFAULT '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  ADD COLUMN leaf_nullifiers bytea NOT NULL DEFAULT '',
  ADD COLUMN tail_hashes bytea NOT NULL DEFAULT '';
ALTER TABLE urna.batches ALTER COLUMN root DROP DEFAULT, ALTER COLUMN leaf_nullifiers DROP DEFAULT, ALTER COLUMN tail_hashes DROP DEFAULT;
-- Hashes do not compress.
ALTER TABLE urna.batches ALTER COLUMN leaf_nullifiers SET STORAGE EXTERNAL, ALTER COLUMN tail_hashes SET STORAGE EXTERNAL;

-- Finds the batch of a leaf: one entry a batch.
CREATE INDEX batches_by_tree_size ON urna.batches (tree_size) WHERE votes > 0;

-- Level 0: 256 leaf hashes each; level k: 256 roots of tiles of level k - 1. Written once, when full (C2SP tlog-tiles).
CREATE TABLE urna.tiles (
  level      smallint NOT NULL,
  tile_index bigint   NOT NULL,
  root       bytea    NOT NULL,
  hashes     bytea    NOT NULL,
  PRIMARY KEY (level, tile_index)
);
ALTER TABLE urna.tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
GRANT SELECT, INSERT ON urna.tiles TO urna_shard;

-- key_fingerprint: SHA-256 of the public key that the shard signs with; empty until its first writer.
-- generation: raised when a loss is accepted; the log has another name from then on.
ALTER TABLE urna.head
  ADD COLUMN key_fingerprint bytea NOT NULL DEFAULT '',
  ADD COLUMN generation int NOT NULL DEFAULT 1;

DROP FUNCTION urna.take_over(text, bigint, bigint);

-- The fence (design, "Takeover"): raises the writer epoch. Raises UR001 unless the head still bears the caller's own
-- name (a writer that reconnects; p_writer is unique to one process) or stands exactly where the caller saw it (a spare);
-- UR004 when the shard signs with another key than the caller's.
CREATE FUNCTION urna.take_over(p_writer text, p_epoch bigint, p_batch bigint, p_key_fingerprint bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  bound bytea;
  new_epoch bigint;
BEGIN
  UPDATE urna.head SET writer_epoch = writer_epoch + 1, writer = p_writer, key_fingerprint = p_key_fingerprint
    WHERE (writer = p_writer OR (writer_epoch = p_epoch AND batch_number = p_batch))
      AND key_fingerprint IN ('', p_key_fingerprint)
    RETURNING writer_epoch INTO new_epoch;
  IF new_epoch IS NULL THEN
    SELECT key_fingerprint INTO bound FROM urna.head;
    IF bound NOT IN ('', p_key_fingerprint) THEN
      RAISE EXCEPTION USING ERRCODE = 'UR004', MESSAGE =
        'this shard signs with the key of fingerprint ' || encode(bound, 'hex') || ', this node has the one of '
        || encode(p_key_fingerprint, 'hex');
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'UR001', MESSAGE = 'take_over: the head has moved';
  END IF;
  RETURN new_epoch;
END $$;

-- Goes on after a loss under another name. Only behind advance_head, in the transaction of a control batch that says who
-- accepted the loss: who has stolen the service's password cannot rename a log past the fence, or unseen.
CREATE FUNCTION urna.begin_generation(p_generation int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM urna.head h JOIN urna.batches b ON b.number = h.batch_number
    WHERE b.xmin = pg_current_xact_id()::xid AND b.control @> '[{"action": "accept-loss"}]'
  ) THEN
    RAISE EXCEPTION USING ERRCODE = 'UR003', MESSAGE = 'begin_generation: not in the batch of an accepted loss';
  END IF;
  UPDATE urna.head SET generation = p_generation WHERE generation = p_generation - 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'UR003', MESSAGE = 'begin_generation: the generation has moved';
  END IF;
END $$;

REVOKE EXECUTE ON FUNCTION urna.take_over(text, bigint, bigint, bytea), urna.begin_generation(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION urna.take_over(text, bigint, bigint, bytea), urna.begin_generation(int) TO urna_shard;
