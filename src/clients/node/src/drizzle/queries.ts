/* Boris's queries. Their types name nothing that differs between drizzle-orm's lines. */
import { and, desc, eq, gte, lt, sql, type AnyColumn, type QueryPromise, type SQL } from "drizzle-orm";
import type { PgDatabase } from "drizzle-orm/pg-core";

import { adObjects, spending } from "./tables.js";

/** The database of any of Drizzle's PostgreSQL drivers, or a transaction of it. */
export interface Database {
  /* eslint-disable @typescript-eslint/no-explicit-any -- the lines of drizzle-orm type these methods differently */
  /** Selects fields. */
  select(fields: any): any;
  /** Selects fields of the first row for each value of `on`. */
  selectDistinctOn(on: any, fields: any): any;
  /* eslint-enable */
}

/** A query that runs when it is awaited. */
export type Rows<Row> = QueryPromise<Row[]> & {
  /** The statement and its parameters. */
  toSQL(): { sql: string; params: unknown[] };
};

/** A range of time; `to` is excluded. */
export interface Range {
  /** The first moment. */
  from: Date;
  /** The first moment after the range. */
  to: Date;
}

/** A row of {@link totalsPerBucket}. */
export interface BucketTotals {
  bucket: Date;
  currency: string;
  amountCents: bigint;
  impressions: bigint | null;
  clicks: bigint | null;
  conversions: bigint | null;
}

/** A row of {@link latestPerPeriod}: a whole row of `spending`. */
export interface LatestRow {
  id: string;
  adObjectId: string;
  collectedAt: Date;
  periodStart: Date;
  periodEnd: Date;
  amountCents: bigint;
  currency: string;
  impressions: bigint | null;
  clicks: bigint | null;
  conversions: bigint | null;
  metrics: unknown;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any driver's database
const typed = (db: Database) => db as PgDatabase<any, any, any>;

const integer = (expression: SQL) => sql<bigint>`${expression}`.mapWith((value: unknown) => BigInt(String(value)));
const moment = (expression: SQL) => sql<Date>`${expression}`.mapWith(spending.periodStart);

/**
 * Boris's first query pattern: totals of an account's spending per `time_bucket`, each currency for itself. It adds up every stored row,
 * restatements and breakdowns included; {@link reportSpending} counts each sum of money once.
 */
export function totalsPerBucket(
  db: Database, { accountId, from, to, bucket = "1 day" }: Range & { accountId: string; bucket?: string | undefined },
): Rows<BucketTotals> {
  const at = moment(sql`time_bucket(${bucket}::interval, ${spending.periodStart})`);
  const total = (column: AnyColumn) => integer(sql`sum(${column})`);
  return typed(db).select({
    bucket: at.as("bucket"),
    currency: spending.currency,
    amountCents: total(spending.amountCents).as("amount_cents"),
    impressions: total(spending.impressions).as("impressions"),
    clicks: total(spending.clicks).as("clicks"),
    conversions: total(spending.conversions).as("conversions"),
  })
    .from(spending)
    .innerJoin(adObjects, eq(adObjects.id, spending.adObjectId))
    .where(and(eq(adObjects.adAccountId, accountId), gte(spending.periodStart, from), lt(spending.periodStart, to)))
    .groupBy(sql`1`, spending.currency)
    .orderBy(sql`1`, spending.currency) as unknown as Rows<BucketTotals>;
}

/** Boris's second query pattern: of each object and period the row that was collected last. */
export function latestPerPeriod(db: Database, { accountId, from, to }: Range & { accountId: string }): Rows<LatestRow> {
  return typed(db).selectDistinctOn([spending.adObjectId, spending.periodStart, spending.periodEnd], {
    id: spending.id,
    adObjectId: spending.adObjectId,
    collectedAt: spending.collectedAt,
    periodStart: spending.periodStart,
    periodEnd: spending.periodEnd,
    amountCents: spending.amountCents,
    currency: spending.currency,
    impressions: spending.impressions,
    clicks: spending.clicks,
    conversions: spending.conversions,
    metrics: spending.metrics,
  })
    .from(spending)
    .innerJoin(adObjects, eq(adObjects.id, spending.adObjectId))
    .where(and(eq(adObjects.adAccountId, accountId), gte(spending.periodStart, from), lt(spending.periodStart, to)))
    .orderBy(spending.adObjectId, spending.periodStart, spending.periodEnd, desc(spending.collectedAt)) as unknown as Rows<LatestRow>;
}

/** What {@link reportSpending} and {@link reportLatest} select. Each end of the range is a day or a moment; `to` is excluded. */
export interface ReportRange {
  /** A day in each account's time zone, `"2026-11-01"`, or a moment. */
  from: string | Date;
  /** The first day or moment after the range. */
  to: string | Date;
  /** The id of one ad account. */
  accountId?: string | undefined;
  /** The id of one ad object; the objects below it are included. */
  objectId?: string | undefined;
}

/** A row of {@link reportSpending}. Amounts of several rows may be added up. */
export interface ReportRow {
  platform: "META" | "GOOGLE_ADS" | "TIKTOK";
  accountExternalId: string;
  /** The account's time zone. */
  zone: string;
  objectId: string;
  objectExternalId: string;
  objectType: "CAMPAIGN" | "AD_SET" | "AD";
  objectName: string | null;
  campaignId: string | null;
  /** If the row is a remainder: of what it is one. */
  part: string | null;
  breakdown: string | null;
  periodStart: Date;
  periodEnd: Date;
  /** `periodStart` in the account's time zone, `"2026-11-01 00:00:00"`. */
  localStart: string;
  collectedAt: Date;
  currency: string;
  amountCents: bigint;
  impressions: bigint | null;
  clicks: bigint | null;
  conversions: bigint | null;
  /** Stored rows that this row stands for. */
  records: bigint;
  /** Those of them whose `metrics` hold a number of conversions that is not whole. */
  fractional: bigint;
}

/** A row of {@link reportLatest}. */
export type ReportLatestRow = Pick<ReportRow, "objectId" | "breakdown" | "periodStart" | "periodEnd" | "collectedAt" | "currency" |
  "amountCents" | "impressions" | "clicks" | "conversions" | "records" | "fractional">;

function report<Row>(db: Database, name: string, fields: object, { from, to, accountId, objectId }: ReportRange): Rows<Row> {
  const day = (value: string | Date) => typeof value === "string" ? value : null;
  const at = (value: string | Date) => typeof value === "string" ? null : value.toISOString();
  return typed(db).select(fields as Record<string, SQL>).from(sql`${sql.raw(name)}(${day(from)}::date, ${day(to)}::date, ${
    accountId ?? null}::uuid, ${objectId ?? null}::uuid, ${at(from)}::timestamptz, ${at(to)}::timestamptz) AS report`) as unknown as Rows<Row>;
}

const text = (name: string) => sql<string>`${sql.identifier(name)}::text`;
const whole = (name: string) => integer(sql`${sql.identifier(name)}`);
const time = (name: string) => moment(sql`${sql.identifier(name)}`);

const LATEST_FIELDS = {
  objectId: text("object_id"), breakdown: text("breakdown"), periodStart: time("period_start"), periodEnd: time("period_end"),
  collectedAt: time("collected_at"), currency: text("currency"), amountCents: whole("amount_cents"), impressions: whole("impressions"),
  clicks: whole("clicks"), conversions: whole("conversions"), records: whole("records"), fractional: whole("fractional"),
};

const SPENDING_FIELDS = {
  platform: text("platform"), accountExternalId: text("account_external_id"), zone: text("zone"),
  objectExternalId: text("object_external_id"), objectType: text("object_type"), objectName: text("object_name"),
  campaignId: text("campaign_id"), part: text("part"), localStart: text("local_start"), ...LATEST_FIELDS,
};

/** Spending by the report's rules, as `boris-ingestd report` counts it: no sum of money is in two of the rows. */
export function reportSpending(db: Database, range: ReportRange): Rows<ReportRow> {
  return report(db, "boris_ingestd_spending", SPENDING_FIELDS, range);
}

/** By the report's rules, what was collected last of each object and period. */
export function reportLatest(db: Database, range: ReportRange): Rows<ReportLatestRow> {
  return report(db, "boris_ingestd_latest", LATEST_FIELDS, range);
}
