-- Statements of a subscription. Those that read the rows of a dataset in the order they were committed are generated
-- from its declaration (schema/sqlite.py: feed_<dataset>, feed_back_<dataset>).

-- name: feed_position
-- The store's mark, number and time of the last commit, and the highest row number ever given in each dataset.
SELECT c.mark, c.seq, c.ts, s.name, s.seq FROM commit_clock AS c LEFT JOIN sqlite_sequence AS s WHERE c.slot = 1

-- name: corrected_since
-- Which rows of a dataset in a range of row numbers were corrected since, and what they were before.
SELECT row_id, new_row_id, old_row, corrected_at FROM corrections
WHERE id > :since_id AND dataset = :dataset
  AND (row_id > :above AND row_id <= :through OR new_row_id > :above AND new_row_id <= :through)
ORDER BY id

-- name: moved_since
-- Files into which rows of a dataset were moved since a moment, those being published now included.
SELECT f.file_id, f.dataset, f.tier, f.path, f.start_us, f.end_us, f.id_min, f.id_max, f.visible_through, f.time_min_us,
  f.time_max_us, f.symbol_min, f.symbol_max, f.row_count, f.size_bytes, f.sha256, f.sums, f.schema_version,
  f.column_count, f.created_seq, f.replaced_seq, f.url, f.offloaded_at
FROM archive_moves AS m INDEXED BY archive_moves_by_dataset_finished_at JOIN archive_files AS f ON f.file_id = m.file_id
WHERE m.dataset = :dataset AND m.finished_at > :since_us AND m.state = 'done'
UNION ALL
SELECT f.file_id, f.dataset, f.tier, f.path, f.start_us, f.end_us, f.id_min, f.id_max, f.visible_through, f.time_min_us,
  f.time_max_us, f.symbol_min, f.symbol_max, f.row_count, f.size_bytes, f.sha256, f.sums, f.schema_version,
  f.column_count, f.created_seq, f.replaced_seq, f.url, f.offloaded_at
FROM archive_moves AS m INDEXED BY archive_moves_by_dataset_start_us JOIN archive_files AS f ON f.file_id = m.file_id
WHERE m.dataset = :dataset AND m.state IN ('claimed', 'publishing')
