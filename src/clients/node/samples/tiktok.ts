// A sync job for TikTok's Marketing API: npx tsx tiktok.ts ADVERTISER SINCE UNTIL (from Node 22.18 on also without npx tsx: node tiktok.ts).
// $TIKTOK_TOKEN is the access token, $CONNECTION_ID the id of the row in platform_connections, $BORIS_INGESTD_URL the daemon, if it does not listen
// on the default socket.
import { send, type AdObjectRecord, type IngestRecord } from "boris-ingestd-client";
import { dayIn, minorUnits } from "boris-ingestd-client/convert";

const API = process.env["TIKTOK_API"] ?? "https://business-api.tiktok.com/open_api/v1.3";

interface Advertiser { name: string; currency: string; timezone: string }
interface Ad { ad_id: string; ad_name: string; adgroup_id: string; adgroup_name: string; campaign_id: string; campaign_name: string; operation_status: string }
interface Report {
  dimensions: { ad_id: string; stat_time_day: string };
  metrics: { spend: string; impressions: string; clicks: string; conversion: string };
}
interface Reply<T> { code: number; message: string; data: { list: T[]; page_info?: { page: number; total_page: number } } }

async function get<T>(path: string, parameters: Record<string, unknown>): Promise<Reply<T>["data"]> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) query.set(name, typeof value === "string" ? value : JSON.stringify(value));
  const response = await fetch(`${API}/${path}/?${query}`, { headers: { "access-token": process.env["TIKTOK_TOKEN"] ?? "" } });
  const reply = await response.json() as Reply<T>;
  if (reply.code !== 0) throw new Error(`TikTok answered ${reply.code}: ${reply.message}`); // with status 200
  return reply.data;
}

/** The rows of all pages. */
async function* rows<T>(path: string, parameters: Record<string, unknown>): AsyncGenerator<T> {
  for (let page = 1, last = 1; page <= last; page++) {
    const { list, page_info } = await get<T>(path, { ...parameters, page, page_size: 1000 });
    yield* list;
    last = page_info?.total_page ?? page;
  }
}

const STATUS: Readonly<Record<string, AdObjectRecord["status"]>> = { ENABLE: "ACTIVE", DELETE: "DELETED" };

async function* records(advertiser: string, connectionId: string, since: string, until: string): AsyncGenerator<IngestRecord> {
  const collectedAt = new Date(); // one moment for the whole collection
  const [account] = (await get<Advertiser>("advertiser/info", { advertiser_ids: [advertiser] })).list;
  if (!account) throw new Error(`there is no advertiser ${advertiser}`);
  // timezone, not display_timezone: an ad account has no daylight saving time, so that of Los Angeles is Etc/GMT+8 all year
  const { name, currency, timezone: zone } = account;
  yield { kind: "adAccount", connectionId, externalId: advertiser, name, currency, timezone: zone };

  const seen = new Set<string>();
  const object = (
    type: AdObjectRecord["type"], externalId: string, name: string, parentExternalId: string | null, status: AdObjectRecord["status"] = "ACTIVE",
  ): AdObjectRecord => ({ kind: "adObject", platform: "TIKTOK", accountExternalId: advertiser, externalId, type, name, status, parentExternalId });
  for await (const ad of rows<Ad>("ad/get", { advertiser_id: advertiser })) {
    // parents before their children
    if (!seen.has(ad.campaign_id)) yield object("CAMPAIGN", ad.campaign_id, ad.campaign_name, null);
    if (!seen.has(ad.adgroup_id)) yield object("AD_SET", ad.adgroup_id, ad.adgroup_name, ad.campaign_id);
    yield object("AD", ad.ad_id, ad.ad_name, ad.adgroup_id, STATUS[ad.operation_status] ?? "PAUSED");
    seen.add(ad.campaign_id).add(ad.adgroup_id);
  }

  const report = {
    advertiser_id: advertiser, report_type: "BASIC", data_level: "AUCTION_AD", dimensions: ["ad_id", "stat_time_day"],
    metrics: ["spend", "impressions", "clicks", "conversion"], start_date: since, end_date: until,
  };
  for await (const { dimensions, metrics } of rows<Report>("report/integrated/get", report))
    yield {
      platform: "TIKTOK", accountExternalId: advertiser, externalId: dimensions.ad_id, collectedAt, currency,
      ...dayIn(zone, dimensions.stat_time_day.slice(0, 10)), amountCents: minorUnits(metrics.spend, currency), impressions: metrics.impressions,
      clicks: metrics.clicks, conversions: metrics.conversion, metrics,
    };
}

const [advertiser = "", since = "", until = ""] = process.argv.slice(2);
const summary = await send(records(advertiser, process.env["CONNECTION_ID"] ?? "", since, until), { client: "tiktok-sync", logger: console });
console.log(JSON.stringify(summary));
