-- Boris's tables for a migration of drizzle-kit: each statement does nothing where the table, type, key or index exists already, so the
-- migration runs on a database that `boris-ingestd migrate` made, and on an empty one.
DO $$ BEGIN
	CREATE TYPE "public"."ad_object_status" AS ENUM('ACTIVE', 'PAUSED', 'ARCHIVED', 'DELETED');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
--> statement-breakpoint
DO $$ BEGIN
	CREATE TYPE "public"."ad_object_type" AS ENUM('CAMPAIGN', 'AD_SET', 'AD');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
--> statement-breakpoint
DO $$ BEGIN
	CREATE TYPE "public"."platform" AS ENUM('META', 'GOOGLE_ADS', 'TIKTOK');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "ad_accounts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"platform_connection_id" uuid NOT NULL,
	"external_id" text NOT NULL,
	"name" text,
	"currency" text NOT NULL,
	"timezone" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "ad_accounts_connection_external" UNIQUE("platform_connection_id","external_id")
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "ad_objects" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"ad_account_id" uuid NOT NULL,
	"external_id" text NOT NULL,
	"type" "ad_object_type" NOT NULL,
	"name" text,
	"status" "ad_object_status" NOT NULL,
	"parent_id" uuid,
	"platform_data" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "ad_objects_account_external" UNIQUE("ad_account_id","external_id")
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "platform_connections" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"platform" "platform" NOT NULL,
	"credentials" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "spending" (
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"ad_object_id" uuid NOT NULL,
	"collected_at" timestamp with time zone DEFAULT now() NOT NULL,
	"period_start" timestamp with time zone NOT NULL,
	"period_end" timestamp with time zone NOT NULL,
	"amount_cents" bigint NOT NULL,
	"currency" text NOT NULL,
	"impressions" bigint,
	"clicks" bigint,
	"conversions" bigint,
	"metrics" jsonb,
	CONSTRAINT "spending_pkey" PRIMARY KEY("id","collected_at")
);
--> statement-breakpoint
DO $$ BEGIN
	ALTER TABLE "ad_accounts" ADD CONSTRAINT "ad_accounts_platform_connection_id_platform_connections_id_fk" FOREIGN KEY ("platform_connection_id") REFERENCES "public"."platform_connections"("id") ON DELETE cascade ON UPDATE no action;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
--> statement-breakpoint
DO $$ BEGIN
	ALTER TABLE "ad_objects" ADD CONSTRAINT "ad_objects_ad_account_id_ad_accounts_id_fk" FOREIGN KEY ("ad_account_id") REFERENCES "public"."ad_accounts"("id") ON DELETE cascade ON UPDATE no action;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
--> statement-breakpoint
DO $$ BEGIN
	ALTER TABLE "ad_objects" ADD CONSTRAINT "ad_objects_parent_id_ad_objects_id_fk" FOREIGN KEY ("parent_id") REFERENCES "public"."ad_objects"("id") ON DELETE cascade ON UPDATE no action;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
--> statement-breakpoint
DO $$ BEGIN
	ALTER TABLE "spending" ADD CONSTRAINT "spending_ad_object_id_ad_objects_id_fk" FOREIGN KEY ("ad_object_id") REFERENCES "public"."ad_objects"("id") ON DELETE cascade ON UPDATE no action;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ad_accounts_platform_connection_idx" ON "ad_accounts" USING btree ("platform_connection_id");
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ad_objects_ad_account_idx" ON "ad_objects" USING btree ("ad_account_id");
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ad_objects_parent_idx" ON "ad_objects" USING btree ("parent_id");
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "spending_ad_object_idx" ON "spending" USING btree ("ad_object_id");
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "spending_collected_at_idx" ON "spending" USING btree ("collected_at");
