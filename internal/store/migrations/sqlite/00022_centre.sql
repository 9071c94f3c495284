-- +goose Up

-- The staff at their telephones, with the call at hand. No call, no callback and no telephone is two agents' at once.
CREATE TABLE agent (
    staff     INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    since     INTEGER NOT NULL, -- in the state
    till      INTEGER NOT NULL, -- when the state lapses, 0 for never
    number    INTEGER NOT NULL,
    purchase  INTEGER NOT NULL,
    case_id   INTEGER NOT NULL,
    callback  INTEGER NOT NULL,
    state     INTEGER NOT NULL, -- 1 away, 2 ready, 3 ringing, 4 talking, 5 wrapping
    extension TEXT    NOT NULL,
    call      TEXT    NOT NULL,
    CONSTRAINT agent_key PRIMARY KEY (staff),
    CONSTRAINT agent_state CHECK (version >= 1 AND state BETWEEN 1 AND 5 AND (state <= 2) = (till = 0) AND (state = 1 OR extension <> '')),
    CONSTRAINT agent_call CHECK ((state <= 2) = (call = '') AND (state >= 3 OR number = 0 AND purchase = 0 AND case_id = 0 AND callback = 0))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX agent_extension ON agent (extension) WHERE state <> 1;
CREATE UNIQUE INDEX agent_of_call ON agent (call) WHERE state IN (3, 4);
CREATE UNIQUE INDEX agent_of_callback ON agent (callback) WHERE state IN (3, 4) AND callback <> 0;

-- Every call to the line that was answered.
CREATE TABLE call (
    id          TEXT    NOT NULL,
    number      INTEGER NOT NULL, -- 0: nobody vouched for one
    purchase    INTEGER NOT NULL,
    case_id     INTEGER NOT NULL,
    callback    INTEGER NOT NULL,
    staff       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    queued_at   INTEGER NOT NULL, -- 0: asked for no agent
    taken_at    INTEGER NOT NULL, -- 0: got none
    ended_at    INTEGER NOT NULL,
    unrecorded  INTEGER NOT NULL, -- 1: the caller refused to be recorded
    trunk       TEXT    NOT NULL,
    language    TEXT    NOT NULL,
    incident    TEXT    NOT NULL,
    release     TEXT    NOT NULL,
    CONSTRAINT call_key PRIMARY KEY (id),
    CONSTRAINT call_times CHECK (id <> '' AND at > 0 AND answered_at >= at AND ended_at >= answered_at AND (queued_at = 0 OR queued_at >= answered_at)),
    CONSTRAINT call_taken CHECK ((taken_at = 0) = (staff = 0) AND (taken_at = 0 OR queued_at <> 0 AND taken_at >= queued_at)),
    CONSTRAINT call_release CHECK (release IN ('informed', 'reported', 'promised', 'spoken', 'abandoned', 'overload', 'failed')
        AND (release <> 'spoken' OR taken_at <> 0)),
    CONSTRAINT call_unrecorded CHECK (unrecorded IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX call_number ON call (number, at);
CREATE INDEX call_at ON call (at);
CREATE INDEX call_ended ON call (ended_at);

-- How many calls each process refused in an hour.
CREATE TABLE call_refused (
    hour    INTEGER NOT NULL, -- the instant that it begins at
    epoch   INTEGER NOT NULL, -- of the process's lease
    refused INTEGER NOT NULL,
    CONSTRAINT call_refused_key PRIMARY KEY (hour, epoch)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE call_refused;
DROP TABLE call;
DROP TABLE agent;
