-- Schema version 1.

CREATE TABLE commit_clock (
  slot INTEGER NOT NULL,
  mark BLOB NOT NULL,
  seq INTEGER NOT NULL,
  ts INTEGER NOT NULL,
  PRIMARY KEY (slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE archive_files (
  file_id TEXT NOT NULL,
  dataset TEXT NOT NULL,
  tier TEXT NOT NULL,
  path TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  id_min INTEGER NOT NULL,
  id_max INTEGER NOT NULL,
  visible_through INTEGER,
  time_min_us INTEGER NOT NULL,
  time_max_us INTEGER NOT NULL,
  symbol_min TEXT,
  symbol_max TEXT,
  row_count INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  sums TEXT NOT NULL,
  schema_version INTEGER NOT NULL,
  column_count INTEGER NOT NULL,
  created_seq INTEGER NOT NULL,
  replaced_seq INTEGER,
  url TEXT,
  offloaded_at INTEGER,
  PRIMARY KEY (file_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX archive_files_by_dataset_start_us ON archive_files (dataset, start_us) WHERE replaced_seq IS NULL;

CREATE INDEX archive_files_by_dataset_end_us ON archive_files (dataset, end_us) WHERE replaced_seq IS NULL;

CREATE INDEX archive_files_by_offloaded_at ON archive_files (offloaded_at) WHERE offloaded_at IS NOT NULL;

CREATE TABLE archive_moves (
  move_id TEXT NOT NULL,
  dataset TEXT NOT NULL,
  tier TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  max_id INTEGER NOT NULL,
  state TEXT NOT NULL,
  file_id TEXT NOT NULL,
  path TEXT NOT NULL,
  row_count INTEGER,
  claimed_at INTEGER NOT NULL,
  finished_at INTEGER,
  PRIMARY KEY (move_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX archive_moves_by_dataset_start_us ON archive_moves (dataset, start_us) WHERE state IN ('claimed', 'publishing');

CREATE INDEX archive_moves_by_dataset_finished_at ON archive_moves (dataset, finished_at);

CREATE TABLE archive_replacements (
  replacement_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  dataset TEXT NOT NULL,
  tier TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  writes TEXT NOT NULL,
  replaces TEXT NOT NULL,
  kept TEXT,
  state TEXT NOT NULL,
  row_count INTEGER,
  claimed_at INTEGER NOT NULL,
  finished_at INTEGER,
  PRIMARY KEY (replacement_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX archive_replacements_by_state_finished_at ON archive_replacements (state, finished_at) WHERE state IN ('claimed', 'done', 'collecting');

CREATE TABLE audit_log (
  entry INTEGER NOT NULL,
  occurred_at INTEGER NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL,
  previous_sha256 TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (entry)
) STRICT, WITHOUT ROWID;

CREATE TABLE legal_holds (
  hold_id TEXT NOT NULL,
  dataset TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  reason TEXT NOT NULL,
  held_by TEXT NOT NULL,
  placed_at INTEGER NOT NULL,
  released_at INTEGER,
  PRIMARY KEY (hold_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX legal_holds_by_placed_at ON legal_holds (placed_at) WHERE released_at IS NULL;

CREATE TABLE corrections (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  dataset TEXT NOT NULL,
  key_hash INTEGER NOT NULL,
  row_id INTEGER NOT NULL,
  new_row_id INTEGER NOT NULL,
  old_row TEXT NOT NULL,
  new_row TEXT NOT NULL,
  corrected_at INTEGER NOT NULL
) STRICT;

CREATE INDEX corrections_by_key_hash ON corrections (key_hash);

CREATE INDEX corrections_by_dataset_row_id ON corrections (dataset, row_id);

CREATE TABLE superseded_rows (
  dataset TEXT NOT NULL,
  row_id INTEGER NOT NULL,
  superseded_seq INTEGER NOT NULL,
  PRIMARY KEY (dataset, row_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE archived_keys (
  key_hash INTEGER NOT NULL,
  archived_day INTEGER,
  PRIMARY KEY (key_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_state (
  dataset TEXT NOT NULL,
  mutations INTEGER NOT NULL,
  declaration TEXT NOT NULL,
  deleted_until_us INTEGER,
  deleted_at_us INTEGER,
  incomplete_before_us INTEGER,
  PRIMARY KEY (dataset)
) STRICT, WITHOUT ROWID;

CREATE TABLE schema_history (
  version INTEGER NOT NULL,
  name TEXT NOT NULL,
  applied_at INTEGER NOT NULL,
  backup TEXT,
  PRIMARY KEY (version)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
  setting TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (setting)
) STRICT, WITHOUT ROWID;

CREATE TABLE balances (
  account TEXT NOT NULL,
  asset TEXT NOT NULL,
  balance TEXT NOT NULL,
  hold_trade TEXT,
  available TEXT,
  debt TEXT,
  told TEXT NOT NULL,
  source TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (account, asset)
) STRICT, WITHOUT ROWID;

CREATE TABLE balance_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  asset TEXT NOT NULL,
  balance TEXT,
  hold_trade TEXT,
  available TEXT,
  debt TEXT,
  told TEXT NOT NULL,
  change TEXT,
  change_percentage TEXT,
  reason TEXT,
  source TEXT NOT NULL,
  sync_status TEXT,
  reported TEXT,
  changed_at INTEGER NOT NULL,
  exchange_at INTEGER,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE INDEX balance_history_by_changed_at_asset ON balance_history (changed_at, asset);

CREATE TRIGGER balance_history_claimed BEFORE UPDATE ON balance_history
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'balance_history'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.changed_at >= m.start_us AND OLD.changed_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.changed_at >= m.start_us AND NEW.changed_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER balance_history_mutated AFTER UPDATE ON balance_history
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'balance_history'; END;

CREATE TABLE positions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  position_id TEXT NOT NULL,
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  side TEXT NOT NULL,
  status TEXT NOT NULL,
  amount TEXT NOT NULL,
  entry_price TEXT NOT NULL,
  entry_cost TEXT NOT NULL,
  mark_price TEXT,
  contract_size TEXT NOT NULL,
  inverse INTEGER NOT NULL,
  leverage TEXT,
  margin_mode TEXT,
  liquidation_price TEXT,
  realized_pnl TEXT NOT NULL,
  fees TEXT NOT NULL,
  funding TEXT NOT NULL,
  peak_amount TEXT NOT NULL,
  max_favourable TEXT NOT NULL,
  max_adverse TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  closed_at INTEGER,
  close_reason TEXT,
  event_seq INTEGER NOT NULL,
  strategy TEXT,
  bot TEXT,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX positions_key ON positions (position_id);

CREATE INDEX positions_by_account_symbol ON positions (account, symbol) WHERE status = 'OPEN';

CREATE INDEX positions_by_symbol ON positions (symbol) WHERE status = 'OPEN';

CREATE TRIGGER positions_claimed BEFORE UPDATE ON positions
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'positions'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.closed_at >= m.start_us AND OLD.closed_at < m.end_us AND OLD.status IN ('CLOSED')) OR (NEW.id <= m.max_id AND NEW.closed_at >= m.start_us AND NEW.closed_at < m.end_us AND NEW.status IN ('CLOSED'))))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TABLE position_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  position_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  kind TEXT NOT NULL,
  amount_delta TEXT NOT NULL,
  price TEXT,
  amount_after TEXT NOT NULL,
  entry_after TEXT NOT NULL,
  realized_delta TEXT NOT NULL,
  cost_delta TEXT NOT NULL,
  fees_delta TEXT NOT NULL,
  funding_delta TEXT NOT NULL,
  trade_id TEXT,
  order_id TEXT,
  occurred_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX position_events_key ON position_events (position_id, seq);

CREATE INDEX position_events_by_trade_id ON position_events (trade_id) WHERE trade_id IS NOT NULL;

CREATE TRIGGER position_events_claimed BEFORE UPDATE ON position_events
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'position_events'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.occurred_at >= m.start_us AND OLD.occurred_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.occurred_at >= m.start_us AND NEW.occurred_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER position_events_mutated AFTER UPDATE ON position_events
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'position_events'; END;

CREATE TABLE orders (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  order_id TEXT NOT NULL,
  client_order_id TEXT,
  side TEXT NOT NULL,
  type TEXT NOT NULL,
  time_in_force TEXT,
  status TEXT NOT NULL,
  price TEXT,
  trigger_price TEXT,
  amount TEXT NOT NULL,
  filled TEXT NOT NULL,
  average TEXT,
  cost TEXT,
  reduce_only INTEGER,
  post_only INTEGER,
  created_at INTEGER,
  updated_at INTEGER NOT NULL,
  last_trade_at INTEGER,
  strategy TEXT,
  bot TEXT,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX orders_key ON orders (account, symbol, order_id);

CREATE INDEX orders_by_account_symbol ON orders (account, symbol) WHERE status = 'open';

CREATE TRIGGER orders_claimed BEFORE UPDATE ON orders
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'orders'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.updated_at >= m.start_us AND OLD.updated_at < m.end_us AND OLD.status IN ('closed', 'canceled', 'expired', 'rejected')) OR (NEW.id <= m.max_id AND NEW.updated_at >= m.start_us AND NEW.updated_at < m.end_us AND NEW.status IN ('closed', 'canceled', 'expired', 'rejected'))))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TABLE order_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  order_id TEXT NOT NULL,
  status TEXT NOT NULL,
  price TEXT,
  amount TEXT NOT NULL,
  filled TEXT NOT NULL,
  average TEXT,
  cost TEXT,
  occurred_at INTEGER NOT NULL,
  strategy TEXT,
  bot TEXT,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX order_events_key ON order_events (account, symbol, order_id, occurred_at, status, filled);

CREATE TRIGGER order_events_claimed BEFORE UPDATE ON order_events
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'order_events'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.occurred_at >= m.start_us AND OLD.occurred_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.occurred_at >= m.start_us AND NEW.occurred_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER order_events_mutated AFTER UPDATE ON order_events
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'order_events'; END;

CREATE TABLE trades (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  trade_id TEXT NOT NULL,
  order_id TEXT NOT NULL,
  synthetic_id INTEGER NOT NULL,
  side TEXT NOT NULL,
  price TEXT NOT NULL,
  amount TEXT NOT NULL,
  contract_size TEXT NOT NULL,
  quote_amount TEXT NOT NULL,
  fee TEXT,
  fee_currency TEXT,
  fee_in_quote TEXT,
  fees TEXT,
  liquidity TEXT,
  realized_pnl TEXT,
  net_pnl TEXT,
  realized_pnl_exchange TEXT,
  position_id TEXT,
  position_side TEXT,
  liquidation INTEGER NOT NULL,
  strategy TEXT,
  bot TEXT,
  executed_at INTEGER NOT NULL,
  info TEXT,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX trades_key ON trades (account, symbol, trade_id, order_id);

CREATE INDEX trades_by_account_symbol_executed_at ON trades (account, symbol, executed_at);

CREATE TRIGGER trades_claimed BEFORE UPDATE ON trades
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'trades'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.executed_at >= m.start_us AND OLD.executed_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.executed_at >= m.start_us AND NEW.executed_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER trades_mutated AFTER UPDATE ON trades
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'trades'; END;

CREATE TABLE ledger (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  type TEXT NOT NULL,
  asset TEXT NOT NULL,
  amount TEXT NOT NULL,
  reference TEXT,
  occurred_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX ledger_key ON ledger (account, entry_id);

CREATE TRIGGER ledger_claimed BEFORE UPDATE ON ledger
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'ledger'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.occurred_at >= m.start_us AND OLD.occurred_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.occurred_at >= m.start_us AND NEW.occurred_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER ledger_mutated AFTER UPDATE ON ledger
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'ledger'; END;

CREATE TABLE ledger_balances (
  account TEXT NOT NULL,
  asset TEXT NOT NULL,
  amount TEXT NOT NULL,
  entries INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (account, asset)
) STRICT, WITHOUT ROWID;

CREATE TABLE portfolio_snapshots (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  base_currency TEXT NOT NULL,
  taken_at INTEGER NOT NULL,
  equity TEXT NOT NULL,
  cash TEXT NOT NULL,
  positions_value TEXT NOT NULL,
  unrealized TEXT NOT NULL,
  realized_cumulative TEXT,
  fees_cumulative TEXT,
  funding_cumulative TEXT,
  net_flow TEXT NOT NULL,
  unpriced TEXT,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX portfolio_snapshots_key ON portfolio_snapshots (account, base_currency, taken_at);

CREATE TRIGGER portfolio_snapshots_claimed BEFORE UPDATE ON portfolio_snapshots
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'portfolio_snapshots'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.taken_at >= m.start_us AND OLD.taken_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.taken_at >= m.start_us AND NEW.taken_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER portfolio_snapshots_mutated AFTER UPDATE ON portfolio_snapshots
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'portfolio_snapshots'; END;

CREATE TABLE portfolio_equity (
  account TEXT NOT NULL,
  base_currency TEXT NOT NULL,
  taken_at INTEGER NOT NULL,
  equity TEXT NOT NULL,
  unpriced TEXT,
  flows TEXT NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (account, base_currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE portfolio_hourly (
  account TEXT NOT NULL,
  currency TEXT NOT NULL,
  period INTEGER NOT NULL,
  equity_open TEXT,
  equity_high TEXT,
  equity_low TEXT,
  equity_close TEXT,
  net_flow TEXT NOT NULL,
  realized TEXT NOT NULL,
  funding TEXT NOT NULL,
  fees TEXT NOT NULL,
  other TEXT NOT NULL,
  volume TEXT NOT NULL,
  trade_count INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (account, currency, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE portfolio_daily (
  account TEXT NOT NULL,
  currency TEXT NOT NULL,
  period INTEGER NOT NULL,
  equity_open TEXT,
  equity_high TEXT,
  equity_low TEXT,
  equity_close TEXT,
  net_flow TEXT NOT NULL,
  realized TEXT NOT NULL,
  funding TEXT NOT NULL,
  fees TEXT NOT NULL,
  other TEXT NOT NULL,
  volume TEXT NOT NULL,
  trade_count INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (account, currency, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE performance_metrics (
  scope TEXT NOT NULL,
  period TEXT NOT NULL,
  benchmark TEXT NOT NULL,
  metric TEXT NOT NULL,
  definition TEXT NOT NULL,
  value REAL,
  annualisation INTEGER,
  risk_free REAL,
  observations INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (scope, period, benchmark, metric, definition)
) STRICT, WITHOUT ROWID;

CREATE TABLE candles (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  open INTEGER NOT NULL,
  high INTEGER NOT NULL,
  low INTEGER NOT NULL,
  close INTEGER NOT NULL,
  volume INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX candles_key ON candles (symbol, timeframe, opened_at);

CREATE INDEX candles_by_recorded_at ON candles (recorded_at);

CREATE TRIGGER candles_claimed BEFORE UPDATE ON candles
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'candles'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.opened_at >= m.start_us AND OLD.opened_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.opened_at >= m.start_us AND NEW.opened_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER candles_mutated AFTER UPDATE ON candles
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'candles'; END;

CREATE TABLE market_trades (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  symbol TEXT NOT NULL,
  trade_id INTEGER NOT NULL,
  price INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  side TEXT NOT NULL,
  traded_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX market_trades_key ON market_trades (symbol, trade_id);

CREATE TRIGGER market_trades_claimed BEFORE UPDATE ON market_trades
WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = 'market_trades'
  AND m.state IN ('claimed', 'publishing') AND ((OLD.id <= m.max_id AND OLD.traded_at >= m.start_us AND OLD.traded_at < m.end_us) OR (NEW.id <= m.max_id AND NEW.traded_at >= m.start_us AND NEW.traded_at < m.end_us)))
BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END;

CREATE TRIGGER market_trades_mutated AFTER UPDATE ON market_trades
BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = 'market_trades'; END;

CREATE TABLE marks (
  symbol TEXT NOT NULL,
  bid TEXT,
  ask TEXT,
  last TEXT,
  mark TEXT NOT NULL,
  marked_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (symbol)
) STRICT, WITHOUT ROWID;
