-- What the ordinals of regions and cells in count_deltas mean, for reports in SQL: the definition itself is a protobuf
-- message. Written once, with the definition, and never changed. kind: ballots, option or undervotes.
CREATE TABLE urna.election_regions (
  election_number int  NOT NULL,
  region          int  NOT NULL,
  region_id       text NOT NULL,
  PRIMARY KEY (election_number, region)
);

CREATE TABLE urna.election_cells (
  election_number int  NOT NULL,
  cell            int  NOT NULL,
  kind            text NOT NULL,
  contest_id      text,
  option_id       text,
  PRIMARY KEY (election_number, cell)
);

GRANT SELECT ON urna.election_regions, urna.election_cells TO urna_shard;

DROP FUNCTION urna.define_election(text, bytea, bytea, bytea, bigint);

-- Creates the election's partition with the row, so that one never exists without the other. Regions and cells come in
-- the order of their ordinals.
CREATE FUNCTION urna.define_election(
  p_election_id text, p_definition bytea, p_definition_hash bytea, p_wrapped_key bytea,
  p_regions text[], p_cell_kinds text[], p_cell_contests text[], p_cell_options text[], p_batch bigint
) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  new_number int;
BEGIN
  SELECT coalesce(max(number), 0) + 1 INTO new_number FROM urna.elections;
  INSERT INTO urna.elections (number, election_id, definition, definition_hash, wrapped_key, create_batch)
    VALUES (new_number, p_election_id, p_definition, p_definition_hash, p_wrapped_key, p_batch);
  INSERT INTO urna.election_regions (election_number, region, region_id)
    SELECT new_number, r.ord - 1, r.region_id FROM unnest(p_regions) WITH ORDINALITY AS r (region_id, ord);
  INSERT INTO urna.election_cells (election_number, cell, kind, contest_id, option_id)
    SELECT new_number, c.ord - 1, c.kind, c.contest_id, c.option_id
    FROM unnest(p_cell_kinds, p_cell_contests, p_cell_options) WITH ORDINALITY AS c (kind, contest_id, option_id, ord);
  EXECUTE format('CREATE TABLE urna.votes_%s (LIKE urna.votes, PRIMARY KEY (nullifier))', new_number);
  EXECUTE format('ALTER TABLE urna.votes ATTACH PARTITION urna.votes_%s FOR VALUES IN (%s)', new_number, new_number);
  EXECUTE format('GRANT SELECT, INSERT ON urna.votes_%s TO urna_shard', new_number);
  RETURN new_number;
END $$;

REVOKE EXECUTE ON FUNCTION
  urna.define_election(text, bytea, bytea, bytea, text[], text[], text[], text[], bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  urna.define_election(text, bytea, bytea, bytea, text[], text[], text[], text[], bigint) TO urna_shard;
