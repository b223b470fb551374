-- Drops a check of 0001_schema.sql that Boris's Drizzle schema does not have. The daemon rejects an ad object that is
-- its own parent, since a parent is of a level above.
ALTER TABLE "ad_objects" DROP CONSTRAINT IF EXISTS "ad_objects_no_self_parent";
