-- Runs, what they are made of, and the journal of everything that was intended and that came of it.
-- docs/state.md explains the tables to people with a sqlite3 shell.
-- Times are UTC text to the microsecond, so that they sort and that datetime() reads them.

CREATE TABLE runs (
  id         TEXT NOT NULL UNIQUE,  -- ULID
  name       TEXT NOT NULL,
  plan       TEXT NOT NULL,         -- the plan directory's absolute path
  status     TEXT NOT NULL,
  error      TEXT NOT NULL,
  created    TEXT NOT NULL,
  since      TEXT NOT NULL,         -- of status
  generation INTEGER NOT NULL,      -- of files: one more with each reload
  captured   TEXT,                  -- JSON
  options    TEXT,                  -- JSON
  key        BLOB,
  outputs    TEXT                   -- JSON
) STRICT;

-- A name can be used again once its run is terminated.
CREATE UNIQUE INDEX runs_live_name ON runs (name) WHERE status <> 'terminated';
CREATE INDEX runs_name ON runs (name);

CREATE TABLE levels (
  run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name     TEXT NOT NULL,
  is_group INTEGER NOT NULL,        -- 1: a sub-plan, complete when its own levels are
  PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE services (
  run         TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  address     TEXT NOT NULL,        -- dispatch.core.web[0]
  level       TEXT NOT NULL,
  position    INTEGER NOT NULL,     -- in the run's order
  status      TEXT NOT NULL,
  runner      TEXT NOT NULL,
  host        TEXT NOT NULL,
  instance_id TEXT NOT NULL,
  attempt     INTEGER NOT NULL,
  phase       TEXT NOT NULL,
  error       TEXT NOT NULL,
  log         TEXT NOT NULL,
  since       TEXT NOT NULL,        -- of status
  attributes  TEXT,                 -- JSON, public ones only
  withheld    TEXT,                 -- JSON array: names of the sensitive ones
  fingerprint TEXT NOT NULL,
  detail      TEXT,                 -- JSON of the engine's own
  PRIMARY KEY (run, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
  run     TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  seq     INTEGER NOT NULL,         -- 1, 2, 3, … within the run
  at      TEXT NOT NULL,
  service TEXT NOT NULL,            -- '': the run's own
  kind    TEXT NOT NULL,
  "from"  TEXT NOT NULL,
  "to"    TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  cause   TEXT NOT NULL,
  detail  TEXT,                     -- JSON
  PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE resources (
  run     TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  kind    TEXT NOT NULL,
  key     TEXT NOT NULL,
  id      TEXT NOT NULL,
  service TEXT NOT NULL,
  status  TEXT NOT NULL,
  data    TEXT NOT NULL,
  since   TEXT NOT NULL,
  PRIMARY KEY (run, kind, key)
) STRICT, WITHOUT ROWID;

-- The plan's files, by generation. Runs of one plan share their contents.
CREATE TABLE files (
  run        TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  generation INTEGER NOT NULL,
  dir        TEXT NOT NULL,
  path       TEXT NOT NULL,
  mode       INTEGER NOT NULL,
  sha256     BLOB NOT NULL REFERENCES contents (sha256),
  PRIMARY KEY (run, generation, dir, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX files_content ON files (sha256);

CREATE TABLE contents (
  sha256 BLOB PRIMARY KEY NOT NULL,
  bytes  BLOB NOT NULL
) STRICT;
