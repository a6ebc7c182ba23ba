-- Statements of tier moves: what may leave the hot store, what is being moved, what was moved.

-- name: open_moves
-- Moves that have begun and not ended, oldest first.
SELECT move_id, dataset, tier, start_us, end_us, max_id, state, file_id, path, row_count, claimed_at, finished_at
FROM archive_moves INDEXED BY archive_moves_by_dataset_start_us
WHERE state IN ('claimed', 'publishing') ORDER BY claimed_at, move_id

-- name: finish_move
-- The end of a move: done, or abandoned.
UPDATE archive_moves SET state = ?, row_count = ?, finished_at = ? WHERE move_id = ?

-- name: begin_publishing
-- From here on the move's file counts, and a crash continues instead of starting again.
UPDATE archive_moves SET state = 'publishing', row_count = ? WHERE move_id = ?

-- name: advance_file
-- How much of a file counts; NULL when all of it does.
UPDATE archive_files SET visible_through = ? WHERE file_id = ?

-- name: manifest_of_dataset
-- Every file that counts for a dataset.
SELECT file_id, dataset, tier, path, start_us, end_us, id_min, id_max, visible_through, time_min_us, time_max_us,
  symbol_min, symbol_max, row_count, size_bytes, sha256, sums, schema_version, column_count, created_seq, replaced_seq,
  url, offloaded_at
FROM archive_files INDEXED BY archive_files_by_dataset_start_us
WHERE dataset = ? AND replaced_seq IS NULL ORDER BY start_us, file_id

-- name: offload_file
-- Says where the object of a file is, and since when it is proven to be there; null: not yet.
UPDATE archive_files SET url = :url, offloaded_at = :offloaded_at
WHERE file_id = :file_id AND offloaded_at IS NULL AND replaced_seq IS NULL

-- name: offloaded_files
-- Files of which there is an object that is proven, those that were replaced included.
SELECT file_id, dataset, tier, path, start_us, end_us, id_min, id_max, visible_through, time_min_us, time_max_us,
  symbol_min, symbol_max, row_count, size_bytes, sha256, sums, schema_version, column_count, created_seq, replaced_seq,
  url, offloaded_at
FROM archive_files INDEXED BY archive_files_by_offloaded_at WHERE offloaded_at IS NOT NULL

-- name: files_to_keep
-- Every file there is, those that were replaced and not yet deleted included, for the backups.
SELECT f.file_id, f.path, f.size_bytes, f.sha256, f.url, f.offloaded_at, f.replaced_seq
FROM archive_files AS f ORDER BY f.created_seq, f.file_id

-- name: known_paths
-- Paths the store knows: files that count or counted, and files of moves under way.
SELECT path FROM archive_files
UNION SELECT path FROM archive_moves INDEXED BY archive_moves_by_dataset_start_us
WHERE state IN ('claimed', 'publishing')

-- name: abandoned_paths
-- Paths of files whose moves were given up before anything of them counted.
SELECT path FROM archive_moves WHERE state = 'abandoned'

-- name: abandoned_writes
-- Files of replacements that were given up before anything of them counted.
SELECT writes FROM archive_replacements WHERE state = 'abandoned'

-- name: open_replacements
-- Replacements that have begun and not ended.
SELECT replacement_id, kind, dataset, tier, start_us, end_us, writes, replaces, kept, state, row_count, claimed_at,
  finished_at
FROM archive_replacements INDEXED BY archive_replacements_by_state_finished_at
WHERE state IN ('claimed', 'done', 'collecting') AND state = 'claimed' ORDER BY claimed_at, replacement_id

-- name: replacements_to_collect
-- Replacements that ended up to a moment and whose replaced files are not deleted yet.
SELECT replacement_id, kind, dataset, tier, start_us, end_us, writes, replaces, kept, state, row_count, claimed_at,
  finished_at
FROM archive_replacements INDEXED BY archive_replacements_by_state_finished_at
WHERE state IN ('claimed', 'done', 'collecting') AND state IN ('done', 'collecting') AND finished_at <= ?
ORDER BY finished_at, replacement_id

-- name: replaced_files_left
-- How many files were replaced and are not deleted yet.
SELECT coalesce(sum(json_array_length(replaces)), 0)
FROM archive_replacements INDEXED BY archive_replacements_by_state_finished_at
WHERE state IN ('claimed', 'done', 'collecting') AND state IN ('done', 'collecting')

-- name: finish_replacement
-- The end of a replacement: done, or abandoned; and of what it replaced: collecting, then collected.
UPDATE archive_replacements SET state = ?, row_count = ?, finished_at = ? WHERE replacement_id = ?

-- name: keep_more
-- Rows of these times stay after all.
UPDATE archive_replacements SET kept = ? WHERE replacement_id = ? AND state = 'done'

-- name: replace_file
-- From here on another file counts in its place.
UPDATE archive_files SET replaced_seq = ? WHERE file_id = ? AND replaced_seq IS NULL AND visible_through IS NULL

-- name: purges_since
-- What moves deleted from the hot store since a moment, and how far moves under way are: rows of the unit up to a row
-- number. A move that ended says so in its row; one under way is as far as its file is visible.
SELECT start_us, end_us, max_id
FROM archive_moves INDEXED BY archive_moves_by_dataset_finished_at
WHERE dataset = :dataset AND finished_at > :since_us AND state = 'done'
UNION ALL
SELECT m.start_us, m.end_us, f.visible_through
FROM archive_moves AS m INDEXED BY archive_moves_by_dataset_start_us JOIN archive_files AS f ON f.file_id = m.file_id
WHERE m.dataset = :dataset AND m.state IN ('claimed', 'publishing')

-- name: moved_lately
-- Files of moves that ended after a moment.
SELECT file_id FROM archive_moves INDEXED BY archive_moves_by_dataset_finished_at
WHERE dataset = ? AND finished_at > ? AND state = 'done'

-- name: last_audit_entry
-- The end of the audit chain.
SELECT entry, sha256 FROM audit_log ORDER BY entry DESC LIMIT 1

-- name: audit_entries
-- The whole audit chain in order.
SELECT entry, occurred_at, action, detail, previous_sha256, sha256 FROM audit_log ORDER BY entry

-- name: erasures_since
-- What was erased for good from a moment on, oldest first.
SELECT detail FROM audit_log WHERE action = 'erasure' AND occurred_at >= ? ORDER BY entry

-- name: archived_until
-- End of the newest unit of a dataset of which something is archived.
SELECT end_us FROM archive_files INDEXED BY archive_files_by_dataset_end_us
WHERE dataset = ? AND replaced_seq IS NULL ORDER BY end_us DESC LIMIT 1

-- name: files_of_day
-- Files whose partition covers a moment: it begins no later than the first parameter and ends after the second.
SELECT file_id, time_min_us, time_max_us FROM archive_files INDEXED BY archive_files_by_dataset_start_us
WHERE dataset = ? AND replaced_seq IS NULL AND start_us <= ? AND end_us > ?

-- name: superseded_of_dataset
-- Archived rows of a dataset that no longer count.
SELECT row_id FROM superseded_rows WHERE dataset = ?

-- name: superseded_count
-- How many archived rows of a dataset no longer count, for status.
SELECT count(*) FROM superseded_rows WHERE dataset = ?

-- name: remember_keys
-- Where keys are archived, a JSON list of their hashes; one that is archived under several days may be anywhere.
INSERT INTO archived_keys (key_hash, archived_day) SELECT value, :day FROM json_each(:hashes) WHERE true
ON CONFLICT (key_hash) DO UPDATE SET archived_day = NULL WHERE archived_day IS NOT excluded.archived_day

-- name: versions_of_key
-- Earlier versions of a row, by the hash of its key.
SELECT dataset, old_row FROM corrections WHERE key_hash = ?

-- name: active_holds
-- Legal holds that were not released, oldest first.
SELECT hold_id, dataset, start_us, end_us, reason, held_by, placed_at, released_at
FROM legal_holds INDEXED BY legal_holds_by_placed_at WHERE released_at IS NULL ORDER BY placed_at, hold_id

-- name: all_holds
-- Every legal hold there was, oldest first.
SELECT hold_id, dataset, start_us, end_us, reason, held_by, placed_at, released_at
FROM legal_holds ORDER BY placed_at, hold_id

-- name: release_hold
-- The end of a legal hold.
UPDATE legal_holds SET released_at = ? WHERE hold_id = ? AND released_at IS NULL

-- name: note_deleted
-- Rows before this moment were deleted by policy.
UPDATE dataset_state SET deleted_until_us = max(coalesce(deleted_until_us, 0), ?) WHERE dataset = ?

-- name: deleted_until
-- Before which moment rows of a dataset were deleted by policy.
SELECT deleted_until_us FROM dataset_state WHERE dataset = ?

-- name: note_deleted_at
-- Old rows of a dataset were deleted, or came back, by this commit: what was known of them before is not all there.
UPDATE dataset_state SET deleted_at_us = max(coalesce(deleted_at_us, 0), ?) WHERE dataset = ?

-- name: note_incomplete
-- Rows or versions of whatever time are gone by this commit: what was known of the dataset before is not all there.
UPDATE dataset_state SET incomplete_before_us = max(coalesce(incomplete_before_us, 0), ?) WHERE dataset = ?

-- name: what_is_gone
-- Of which rows, and since which moments, all that was known of a dataset is there.
SELECT deleted_until_us, deleted_at_us, incomplete_before_us FROM dataset_state WHERE dataset = ?

-- name: corrections_behind
-- What rows of a dataset were before they were corrected, behind a correction.
SELECT row_id, new_row_id, old_row FROM corrections NOT INDEXED WHERE id > :since_id AND dataset = :dataset ORDER BY id

-- name: correction_ids
-- Which rows of a dataset were corrected.
SELECT id, row_id, new_row_id FROM corrections INDEXED BY corrections_by_dataset_row_id WHERE dataset = ?

-- name: correction_times
-- Which rows of a dataset were corrected, and the times of both versions.
SELECT id, row_id, new_row_id, old_row ->> :time, new_row ->> :time
FROM corrections INDEXED BY corrections_by_dataset_row_id WHERE dataset = :dataset

-- name: corrections_with
-- Corrections of rows that had or have a value in a column, and the times of both versions.
SELECT id, old_row ->> :time, new_row ->> :time FROM corrections INDEXED BY corrections_by_dataset_row_id
WHERE dataset = :dataset AND (old_row ->> :column = :value OR new_row ->> :column = :value)

-- name: forget_correction
-- The content of a row that was deleted goes with it.
DELETE FROM corrections WHERE id = ?

-- name: forget_superseded
-- A row that is gone need not be left out.
DELETE FROM superseded_rows WHERE dataset = ? AND row_id = ?

-- name: forget_keys
-- Keys of deleted rows of a day, a JSON list of their hashes.
DELETE FROM archived_keys WHERE key_hash IN (SELECT value FROM json_each(:hashes)) AND archived_day = :day

-- name: note_mutation
-- Rows of a dataset were changed in place, or erased.
UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = ?

-- name: versions_of_dataset
-- Old versions of a dataset's rows.
SELECT id, old_row, new_row FROM corrections INDEXED BY corrections_by_dataset_row_id WHERE dataset = ?

-- name: rename_version
-- An old version of a row under other names of its columns.
UPDATE corrections SET old_row = ?, new_row = ? WHERE id = ?

-- name: note_extension
-- A dataset's declaration has got more columns, or other ones.
UPDATE dataset_state SET declaration = ?, mutations = mutations + 1 WHERE dataset = ?

-- name: first_schema
-- When the store was made.
SELECT applied_at FROM schema_history ORDER BY version LIMIT 1

-- name: schema_steps
-- Versions the store went through, and the backup before each.
SELECT version, name, applied_at, backup FROM schema_history ORDER BY version
