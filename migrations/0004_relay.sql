-- How far boris-ingestd-relay has fed each partition of a NATS JetStream stream: every message of the partition up to the one
-- with this sequence is settled.
CREATE TABLE boris_ingestd_relay (
    stream text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    -- when the stream stored that message, in nanoseconds since 1970: a stream that was made anew, or lost its end, holds another
    stored_ns bigint NOT NULL,
    -- the relay that feeds the partition, or fed it until it died; NULL where it ended in order
    holder uuid,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, partition)
);
