-- resigned_epoch: of the last writer that said it would write no more. It speeds the next takeover up and is no fence: a
-- spare that reads it takes over as it would from a silent writer, by the compare-and-set of take_over.
ALTER TABLE urna.head ADD COLUMN resigned_epoch bigint NOT NULL DEFAULT 0;

-- The writer's last act. Does nothing when another has taken over meanwhile.
CREATE FUNCTION urna.resign(p_epoch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE urna.head SET resigned_epoch = p_epoch WHERE writer_epoch = p_epoch;
END $$;
REVOKE EXECUTE ON FUNCTION urna.resign(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION urna.resign(bigint) TO urna_shard;
