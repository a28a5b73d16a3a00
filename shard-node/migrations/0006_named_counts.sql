-- The batch log's counts with the names of what they count, for reports (docs/reports.md). Only batches that hold votes
-- have counts: saying so lets a report by time use the index on their stamps.
CREATE VIEW urna.named_counts AS
  SELECT e.election_id, b.number AS batch_number, b.stamp, r.region_id, c.kind, c.contest_id, c.option_id, d.n
  FROM urna.batches b
  CROSS JOIN unnest(b.count_election, b.count_region, b.count_cell, b.count_n) AS d (election_number, region, cell, n)
  JOIN urna.elections e ON e.number = d.election_number AND e.create_batch < b.number
  JOIN urna.election_regions r ON r.election_number = d.election_number AND r.region = d.region
  JOIN urna.election_cells c ON c.election_number = d.election_number AND c.cell = d.cell
  WHERE b.votes > 0;

GRANT SELECT ON urna.named_counts TO urna_shard;
