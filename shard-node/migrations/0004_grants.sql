-- What the service's role may do: read, add votes and batches, and call the functions above. It can update, delete or
-- truncate nothing.
REVOKE ALL ON SCHEMA urna FROM PUBLIC;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA urna FROM PUBLIC;
GRANT USAGE ON SCHEMA urna TO urna_shard;
GRANT SELECT ON ALL TABLES IN SCHEMA urna TO urna_shard;
GRANT INSERT ON urna.votes, urna.batches TO urna_shard;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA urna TO urna_shard;
-- To see the standby's state, and to end a writer session that holds the head against a takeover.
GRANT pg_monitor, pg_signal_backend TO urna_shard;
