-- Every change of head goes through here. SECURITY DEFINER: the service's role may call these and nothing else.

-- The fence (design, "Takeover"): raises the writer epoch. Raises UR001 unless the head still bears the caller's own
-- name (a writer that reconnects; p_writer is unique to one process) or stands exactly where the caller saw it (a spare).
CREATE FUNCTION urna.take_over(p_writer text, p_epoch bigint, p_batch bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  new_epoch bigint;
BEGIN
  UPDATE urna.head SET writer_epoch = writer_epoch + 1, writer = p_writer
    WHERE writer = p_writer OR (writer_epoch = p_epoch AND batch_number = p_batch)
    RETURNING writer_epoch INTO new_epoch;
  IF new_epoch IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'UR001', MESSAGE = 'take_over: the head has moved';
  END IF;
  RETURN new_epoch;
END $$;

-- The compare-and-set that every batch ends with (I6). Raises UR001 unless exactly one row changed, and UR002 when a
-- commit of this session would not wait for the standby (I1): settings can change behind a writer's back.
CREATE FUNCTION urna.advance_head(
  p_epoch bigint, p_batch bigint, p_map_epoch bigint, p_tree_size_before bigint, p_votes int, p_stamp timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed int;
BEGIN
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    RAISE EXCEPTION USING ERRCODE = 'UR002', MESSAGE = 'synchronous_commit is ' || current_setting('synchronous_commit');
  ELSIF current_setting('synchronous_standby_names') = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'UR002', MESSAGE = 'synchronous_standby_names is empty';
  ELSIF current_setting('fsync') <> 'on' THEN
    RAISE EXCEPTION USING ERRCODE = 'UR002', MESSAGE = 'fsync is off';
  ELSIF current_setting('full_page_writes') <> 'on' THEN
    RAISE EXCEPTION USING ERRCODE = 'UR002', MESSAGE = 'full_page_writes is off';
  END IF;
  UPDATE urna.head SET batch_number = p_batch, tree_size = tree_size + p_votes, stamp = p_stamp
    WHERE writer_epoch = p_epoch AND batch_number = p_batch - 1 AND map_epoch = p_map_epoch
      AND tree_size = p_tree_size_before;
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed <> 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'UR001', MESSAGE = 'advance_head: the head has moved';
  END IF;
END $$;

-- Creates the election's partition with the row, so that one never exists without the other.
CREATE FUNCTION urna.define_election(
  p_election_id text, p_definition bytea, p_definition_hash bytea, p_wrapped_key bytea, p_batch bigint
) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  new_number int;
BEGIN
  SELECT coalesce(max(number), 0) + 1 INTO new_number FROM urna.elections;
  INSERT INTO urna.elections (number, election_id, definition, definition_hash, wrapped_key, create_batch)
    VALUES (new_number, p_election_id, p_definition, p_definition_hash, p_wrapped_key, p_batch);
  EXECUTE format('CREATE TABLE urna.votes_%s (LIKE urna.votes, PRIMARY KEY (nullifier))', new_number);
  EXECUTE format('ALTER TABLE urna.votes ATTACH PARTITION urna.votes_%s FOR VALUES IN (%s)', new_number, new_number);
  EXECUTE format('GRANT SELECT, INSERT ON urna.votes_%s TO urna_shard', new_number);
  RETURN new_number;
END $$;

-- Opens (2) or closes (3). The state only ever moves forward.
CREATE FUNCTION urna.set_election_state(p_election_id text, p_state smallint, p_batch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE urna.elections SET
      state = p_state,
      open_batch = CASE WHEN p_state = 2 THEN p_batch ELSE open_batch END,
      close_batch = CASE WHEN p_state = 3 THEN p_batch ELSE close_batch END
    WHERE election_id = p_election_id AND state < p_state;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'UR003', MESSAGE = 'set_election_state: no such change for ' || p_election_id;
  END IF;
END $$;

-- The first definition wins; the wanted state only ever moves forward.
CREATE FUNCTION urna.put_home_election(
  p_election_id text, p_definition bytea, p_definition_hash bytea, p_wrapped_key bytea,
  p_wanted_state smallint, p_created_at timestamptz, p_requested_by text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO urna.home_elections VALUES
      (p_election_id, p_definition, p_definition_hash, p_wrapped_key, p_wanted_state, p_created_at, p_requested_by)
    ON CONFLICT (election_id) DO UPDATE
      SET wanted_state = excluded.wanted_state, requested_by = excluded.requested_by
      WHERE home_elections.definition_hash = excluded.definition_hash
        AND home_elections.wanted_state < excluded.wanted_state;
END $$;

-- Running totals through p_batch, from the snapshot before; only the newest two are kept.
CREATE FUNCTION urna.take_count_snapshot(p_batch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  base bigint;
BEGIN
  SELECT coalesce(max(through_batch), 0) INTO base FROM urna.count_snapshots;
  INSERT INTO urna.count_snapshots (through_batch, election_number, region, cell, n)
    SELECT p_batch, election_number, region, cell, sum(n) FROM (
      SELECT election_number, region, cell, n FROM urna.count_snapshots WHERE through_batch = base
      UNION ALL
      SELECT election_number, region, cell, n FROM urna.count_deltas WHERE batch_number > base AND batch_number <= p_batch
    ) AS grown GROUP BY election_number, region, cell;
  DELETE FROM urna.count_snapshots WHERE through_batch < base;
END $$;
