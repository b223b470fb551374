-- spending becomes a hypertable; the rows that it has move to its chunks.
CREATE EXTENSION IF NOT EXISTS timescaledb;

-- The one deviation from Drizzle's tables: a unique index of a hypertable must contain the partition column.
ALTER TABLE "spending" DROP CONSTRAINT "spending_pkey";
ALTER TABLE "spending" ADD CONSTRAINT "spending_pkey" PRIMARY KEY ("id","collected_at");

-- The index on collected_at exists already. if_not_exists and the last statement are for a database in which
-- somebody made the hypertable by hand.
SELECT create_hypertable('spending', by_range('collected_at', INTERVAL '1 week'),
                         create_default_indexes => false, migrate_data => true, if_not_exists => true);
SELECT set_chunk_time_interval('spending', INTERVAL '1 week');
